"""The doctor's check of a camera: opened as the inspection would, and let go again."""

import threading

from core.errors import CameraError
from runtime.cameras.opening import open_camera
from runtime.cameras.settings import CameraSettings, LiveCameraSettings


def check_camera(name: str, settings: CameraSettings) -> str:
    """Say what it gives. Raises CameraError where it gives no frame, ConfigError where a URL's variable is not set."""
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
