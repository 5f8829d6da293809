"""The doctor: what keeps an inspection from starting here, in plain words, one line and one remedy each.

Every check opens the very thing that the inspection would open, and closes it again; nothing is published or stays.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

from core.errors import PwaeError, shown
from runtime.actuator.check import check_plc
from runtime.bundles.bundle import inputs_of, load_bundle
from runtime.cameras.check import check_camera
from runtime.delivery.check import check_broker, check_outbox
from runtime.evidence.check import check_folder
from runtime.inference.cuda.gpu import NoGpuError, find_gpu
from runtime.inference.detector import open_detector
from runtime.inference.onnx_runtime import require_one_build
from runtime.inference.selection import choose_here
from runtime.settings import InspectionSettings
from runtime.view.check import check_page

Check = Callable[[], str]
"""Says in words what was found; raises PwaeError with the remedy where something is missing."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    text: str
    exit_code: int = 0
    """0: nothing is missing."""


def examine(settings: InspectionSettings) -> Iterator[Finding]:
    """Check everything that the inspection needs, however many are missing, and name each fault once."""
    named = set()
    for subject, check in _checks(settings):
        with _Warnings() as warned:
            try:
                found = Finding(subject, check())
            except PwaeError as error:
                found = Finding(subject, str(error), error.exit_code)
        if found.text not in named:  # a backend lacks the bundle that is missing already
            yield replace(found, text=warned.told_in(found.text, f"{subject}: "))
        if found.exit_code:
            named.add(found.text)


class _Warnings(logging.Handler):
    """Hears what is warned of meanwhile, on whatever thread: it belongs to the line that tells of the check."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: dict[str, None] = {}

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self._told[shown(record.getMessage())] = None

    def told_in(self, text: str, prefix: str) -> str:
        """Give `text` and what was heard, unless it stands there; all without the `prefix`, which the line has."""
        heard = [each.removeprefix(prefix) for each in self._told]
        more = "".join(f"; warning: {each}" for each in heard if each not in text)
        return text.removeprefix(prefix).removesuffix("." * bool(more)) + more


def _checks(settings: InspectionSettings) -> Sequence[tuple[str, Check]]:
    coils = [verdict.coil for verdict in settings.verdicts.values() if verdict.coil is not None]
    bundles = {"": settings.bundle} | {f" of recipe {recipe}": path for recipe, path in settings.bundles.items()}
    topics, kept, seen = settings.topics, settings.kept_folders, inputs_of(bundles.values())
    heard = dict.fromkeys([topics.command("+")] * bool(settings.commands), 0) | {
        topics.trigger(name): 1 for name, camera in settings.cameras.items() if getattr(camera, "trigger", None)
    }
    return [
        *((f"bundle{recipe}", partial(_bundle, settings, path)) for recipe, path in bundles.items()),
        ("onnxruntime", require_one_build),
        *((f"backend{recipe}", partial(_backend, settings, path)) for recipe, path in bundles.items()),
        ("gpu", partial(_gpu, settings.backend.device)),
        ("codecs", _codecs),
        *(
            (f"camera {name}", partial(check_camera, name, camera, kept, seen))
            for name, camera in settings.cameras.items()
        ),
        ("broker", partial(check_broker, settings.broker, settings.client_id, topics.doctor, heard)),
        ("outbox", partial(check_outbox, settings.outbox)),
        *([("plc", partial(check_plc, settings.modbus, coils))] if settings.modbus else []),
        *([("evidence", partial(check_folder, settings.evidence))] if settings.evidence else []),
        *([("view", partial(check_page, settings.view))] if settings.view else []),
    ]


def _bundle(settings: InspectionSettings, path: Path) -> str:
    manifest = load_bundle(path, settings.bundle_key).manifest
    return f"{manifest.label}, {manifest.width} x {manifest.height}, {manifest.precision}, exported {manifest.created}"


def _backend(settings: InspectionSettings, path: Path) -> str:
    model = open_detector(path, *settings.asked, settings.site_thresholds())
    model.backend.close()
    why = choose_here(settings.backend, model.bundle, settings.batching.max_batch).why
    memory = f", {model.backend.gpu_memory}" if model.backend.gpu_memory else ""
    is_slow = model.bundle.manifest.precision == "fp16" and model.backend.name.endswith("/cpu")
    advice = "; fp16 is slower than fp32 on a CPU, export it with --precision fp32 for this machine" if is_slow else ""
    judges = f"{model.backend.name} judges a batch of {model.backend.max_batch}"
    return f"{judges}{memory} ({settings.backend.kind}: {why}){advice}"


def _gpu(device: int) -> str:
    """Never a fault by itself: a backend that needs what is missing says so."""
    try:
        gpu = find_gpu(device)
    except NoGpuError as error:
        return str(error)
    return f"{gpu.name} ({gpu.target})"


def _codecs() -> str:
    import av
    import cv2

    return f"FFMPEG of PyAV {av.__version__}, OpenCV {cv2.__version__}"
