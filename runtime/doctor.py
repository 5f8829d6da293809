"""The doctor: what keeps an inspection from starting here, in plain words, one line and one remedy each.

Every check opens the very thing that the inspection would open, and lets it go again. Nothing is published.
"""

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.errors import BrokerError, CameraError, ConfigError, PwaeError
from runtime.bundles.bundle import load_bundle
from runtime.cameras.opening import open_camera
from runtime.cameras.settings import CameraSettings, LiveCameraSettings
from runtime.delivery.connection import Connector, Refused, Unreachable
from runtime.delivery.embedded_broker import EmbeddedBroker
from runtime.delivery.outbox import Outbox
from runtime.evidence.settings import EvidenceSettings
from runtime.inference.detector import open_detector
from runtime.inference.gpu import find_gpu
from runtime.inference.selection import choose_here
from runtime.monitoring.settings import ViewSettings
from runtime.monitoring.web_page import listen, require_packages
from runtime.settings import InspectionSettings

Check = Callable[[], str]
"""Says in words what was found; raises PwaeError with the remedy where something is missing."""


@dataclass(frozen=True)
class Finding:
    """What came of one check."""

    subject: str
    text: str
    exit_code: int = 0
    """0: nothing is missing."""


def examine(settings: InspectionSettings) -> Iterator[Finding]:
    """Check everything that the inspection needs, one after the other, however many are missing."""
    for subject, check in _checks(settings):
        try:
            yield Finding(subject, check())
        except PwaeError as error:
            yield Finding(subject, str(error), error.exit_code)


def _checks(settings: InspectionSettings) -> Sequence[tuple[str, Check]]:
    return [
        ("bundle", partial(_bundle, settings)),
        ("backend", partial(_backend, settings)),
        ("gpu", _gpu),
        ("codecs", _codecs),
        *((f"camera {name}", partial(_camera, name, camera)) for name, camera in settings.cameras.items()),
        ("broker", partial(_broker, settings)),
        ("outbox", partial(_outbox, settings)),
        *([("evidence", partial(_evidence, settings.evidence))] if settings.evidence else []),
        *([("view", partial(_view, settings.view))] if settings.view else []),
    ]


def _bundle(settings: InspectionSettings) -> str:
    manifest = load_bundle(settings.bundle, settings.bundle_key).manifest
    return f"{manifest.name}, {manifest.width} x {manifest.height}, {manifest.precision}, exported {manifest.created}"


def _backend(settings: InspectionSettings) -> str:
    model = open_detector(settings.bundle, settings.bundle_key, settings.backend, settings.batching.max_batch)
    model.backend.close()
    why = choose_here(settings.backend, model.bundle, settings.batching.max_batch).why
    return f"{model.backend.name} judges a batch of {model.backend.max_batch} ({settings.backend.kind}: {why})"


def _gpu() -> str:
    """Never a fault by itself: a backend that needs what is missing says so."""
    gpu = find_gpu()
    return gpu if isinstance(gpu, str) else f"{gpu.name} ({gpu.target})"


def _codecs() -> str:
    import av
    import cv2

    return f"FFMPEG of PyAV {av.__version__}, OpenCV {cv2.__version__}"


def _camera(name: str, settings: CameraSettings) -> str:
    if isinstance(settings, LiveCameraSettings):
        settings = settings.model_copy(update={"trigger": None, "stale_after_s": settings.timeout_s})
    camera = open_camera(name, settings)
    if camera.status() is None:
        camera.close()
        return f"opens, {camera.frames_total} frames" if camera.frames_total else "opens"
    first = next(camera.frames(threading.Event()))
    status = camera.status()
    camera.close()
    if first.pixels_bgr_u8 is None:
        why = status.reason if status else ""
        raise CameraError(f"camera {name}: no frame ({why}); check its power, cable, address and login.")
    height, width = first.pixels_bgr_u8.shape[:2]
    return f"gives frames of {width} x {height} pixels"


def _broker(settings: InspectionSettings) -> str:
    host, port = settings.broker.address
    if settings.broker.host is None:
        with EmbeddedBroker(port):
            return f"none configured: one will be started on {host}:{port}, for a trial"
    # A client id of its own: the station's would throw a running inspection out.
    connector = Connector(settings.broker, f"{settings.client_id}-doctor")
    try:
        connector.open(f"{settings.topics.prefix}/doctor", b"").close()
    except Unreachable as error:
        raise BrokerError(
            f"{host}:{port} does not answer ({error}); start it, or check broker.host, broker.port and the firewall."
        ) from error
    except Refused as error:
        raise BrokerError(f"{host}:{port} answers and refuses us: {error}.") from error
    return f"{host}:{port} takes us in"


def _outbox(settings: InspectionSettings) -> str:
    outbox = Outbox(settings.outbox)
    depth = outbox.depth
    outbox.close()
    return f"{settings.outbox.path} can be written, {depth} events wait in it, {_free(settings.outbox.path.parent)}"


def _evidence(settings: EvidenceSettings) -> str:
    probe = settings.folder / ".doctor"
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
    except OSError as error:
        raise ConfigError(
            f"{settings.folder} cannot be written ({error.strerror}); mend its permissions or set `evidence.folder`."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    if shutil.disk_usage(settings.folder).free < settings.min_free_bytes:
        raise ConfigError(
            f"{settings.folder}: {_free(settings.folder)}, less than evidence.min_free_bytes; free the disk."
        )
    return f"{settings.folder} can be written, {_free(settings.folder)}"


def _view(settings: ViewSettings) -> str:
    require_packages()
    settings.token()
    listen(settings).close()
    return f"http://{settings.host}:{settings.port}/ is free"


def _free(folder: Path) -> str:
    return f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free"
