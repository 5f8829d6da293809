"""The doctor: what keeps an inspection from starting here, in plain words, one line and one remedy each.

Every check opens the very thing that the inspection would open, and closes it again. Nothing is published.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.errors import PwaeError
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
        try:
            yield Finding(subject, check())
        except PwaeError as error:
            if str(error) not in named:  # a backend lacks the bundle that is missing already
                yield Finding(subject, str(error).removeprefix(f"{subject}: "), error.exit_code)
            named.add(str(error))


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
