"""GenICam: cameras of GigE Vision and USB3 Vision, found on the network, set up by their features, read block by block.

The package viva-genicam is young: it is pinned exactly, and seen by this module alone.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, one_line
from runtime.cameras.pixel_format import is_known, to_bgr_u8
from runtime.cameras.settings import Feature, GenicamSettings

if TYPE_CHECKING:
    import viva_genicam

DISCOVERY_MS = 300
"""How long cameras may take to answer."""
SERIALS = ("DeviceSerialNumber", "DeviceID")
"""Features that hold the serial number; older cameras have the second alone."""
TICK_FREQUENCY_ADDRESS = 0x093C
"""Bootstrap register of GigE Vision: how often a second the camera's clock ticks, 64 bits."""
PACKET_SIZE = "GevSCPSPacketSize"


@dataclass(frozen=True)
class FoundCamera:
    """A camera that answers."""

    model: str
    serial: str
    """Empty where it does not tell."""
    address: str | None
    """Of GigE Vision, its IPv4 address; None on USB."""
    device: Any
    """What it is connected to by."""

    def __str__(self) -> str:
        """Name it for people."""
        where = f"at {self.address}" if self.address else "on USB"
        return f"{self.model}, serial {self.serial or 'not told'}, {where}"


def require_package() -> None:
    """Raises ConfigError where the package of the extra `genicam` is missing."""
    if importlib.util.find_spec("viva_genicam") is None:
        raise ConfigError("camera of kind genicam: its package is missing; pip install '.[genicam]'.")


def find_cameras(interface: str | None) -> list[FoundCamera]:
    """List the cameras that answer, on one network `interface` (its name or IPv4 address) or on all and on USB.

    Raises OSError with the reason.
    """
    import viva_genicam as vg

    with _told():
        found = [_look_at(device, interface) for device in vg.discover(DISCOVERY_MS, iface=interface)]
    if interface is None:
        with contextlib.suppress(vg.GenicamError):  # a machine without USB
            found += [
                FoundCamera(device.model or "a camera", device.serial or "", None, device)
                for device in vg.discover_u3v()
            ]
    return found


def as_yaml(found: list[FoundCamera], interface: str | None) -> str:
    """Write the lines that a configuration takes, each below a comment that names the camera."""
    lines = ["cameras:"]
    for number, each in enumerate(found, start=1):
        settings = f"serial: {json.dumps(each.serial)}" if each.serial else f"address: {each.address}"
        where = f", interface: {json.dumps(interface)}" if interface else ""
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", each.model)[:60]
        lines += [f"  # {each}", f"  {name}-{number}: {{kind: genicam, {settings}{where}}}"]
    return "\n".join(lines)


def connection(settings: GenicamSettings) -> Callable[[], GenicamStream]:
    """Give what connects to the camera that `settings` name, and sets its features.

    It raises OSError with the reason where the camera does not answer, is another's, or refuses a feature.
    """
    require_package()

    def connect() -> GenicamStream:
        import viva_genicam as vg

        found = _choose(settings)
        interface = settings.interface
        with _told():
            camera = vg.connect_gige(found.device, interface) if found.address else vg.connect_u3v(found.device)
        try:
            with _told():
                _run_freely(camera)
            set_features(camera, settings.features)
            return GenicamStream(camera, settings, str(found))
        except BaseException:
            _let_go(camera)
            raise

    return connect


def set_features(camera: viva_genicam.Camera, features: dict[str, Feature]) -> None:
    """Set a camera's features in their order.

    Raises OSError for one that it has not, naming the nearest that it has, and for a value that it refuses.
    """
    import viva_genicam as vg

    for name, value in features.items():
        if name not in camera.nodes():
            known = [feature for names in camera.categories().values() for feature in names]
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean `{nearest[0]}`?" if nearest else "see its data sheet"
            raise OSError(f"it has no feature `{name}`: {hint}")
        try:
            state = camera.feature_state(name)
            camera.set(name, _as_text(value, state.kind))
        except vg.GenicamError as error:
            entries = f"; it takes {', '.join(state.enum_entries)}" if state.enum_entries else ""
            raise OSError(f"it refuses `{name}: {value}` ({one_line(error)}{entries})") from error


class GenicamStream:
    """Reads one camera's blocks in turn, as a Capture. It belongs to one thread."""

    def __init__(self, camera: viva_genicam.Camera, settings: GenicamSettings, name: str) -> None:
        """Start the acquisition; `name` is for people. Raises OSError where the camera's pictures cannot be had."""
        self.name = name
        self._camera = camera
        self._timeout_ms = int(settings.timeout_s * 1000)
        self._frame: viva_genicam.Frame | None = None
        with _told():
            pixel_format = camera.get("PixelFormat")
            if not is_known(pixel_format):
                raise OSError(f"its pixel format {pixel_format} is not known here; set features.PixelFormat")
            self._ticks_per_s = _ticks_per_s(camera)
            self._stream = camera.stream(
                # Blocks that lost packets come too, so that they are told of.
                *(settings.interface, None, PACKET_SIZE not in settings.features),
                deliver_incomplete=True,
            )
            self._stream.__enter__()

    @property
    def time_s(self) -> float:
        """The camera's own time of what was grabbed; 0 where it tells none."""
        ticks = self._frame.ts_dev if self._frame is not None else None
        return ticks / self._ticks_per_s if ticks and self._ticks_per_s else 0.0

    def grab(self) -> bool:
        """Wait for a block; False where none came in time, or another has taken the camera."""
        import viva_genicam as vg

        try:
            self._frame = self._stream.next_frame(self._timeout_ms)
        except vg.GenicamError:
            return False
        is_lost = self._camera.transport == "gige" and self._camera.control_state == vg.ControlState.LOST
        return self._frame is not None and not is_lost

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """Give the pixels (H, W, 3) of what was grabbed; False and None where packets of it were lost."""
        frame = self._frame
        if frame is None or not frame.is_complete:
            return False, None
        try:
            return True, to_bgr_u8(frame.to_numpy(), frame.pixel_format)
        except ValueError:
            return False, None

    @property
    def packet_bytes(self) -> int | None:
        """How long its packets are; None where it does not tell, and on USB."""
        import viva_genicam as vg

        with contextlib.suppress(vg.GenicamError):
            return self._camera.get_integer(PACKET_SIZE)
        return None

    @property
    def frames_lost(self) -> tuple[int, int]:
        """How many frames were not received whole so far, and how many came or should have."""
        stats = self._stream.stats()
        return stats.frames_lost, stats.frames_complete + stats.frames_lost

    def release(self) -> None:
        """Let the camera go; one that is dead is left as it is."""
        import viva_genicam as vg

        with contextlib.suppress(vg.GenicamError):
            self._stream.__exit__(None, None, None)
        _let_go(self._camera)


@contextlib.contextmanager
def _told() -> Any:
    """Carry the library's errors over to OSError, whose text the camera's status tells."""
    import viva_genicam as vg

    try:
        yield
    except vg.GenicamError as error:
        raise OSError(one_line(error)) from error


def _let_go(camera: viva_genicam.Camera) -> None:
    import viva_genicam as vg

    with contextlib.suppress(vg.GenicamError):
        camera.close()


def _run_freely(camera: viva_genicam.Camera) -> None:
    """Undo the triggers that whoever had the camera before has left switched on."""
    if "TriggerMode" not in camera.nodes():
        return
    for selector in camera.available_enum_entries("TriggerSelector"):
        camera.disable_trigger(selector)


def _look_at(device: viva_genicam.GigeDeviceInfo, interface: str | None) -> FoundCamera:
    """Ask a camera for its serial number, without taking it from whoever has it."""
    import viva_genicam as vg

    serial = ""
    with contextlib.suppress(vg.GenicamError), vg.connect_gige(device, interface, monitor=True) as camera:
        serial = next((camera.get(name) for name in SERIALS if name in camera.nodes()), "")
    return FoundCamera(device.model or "a camera", serial, device.ip, device)


def _choose(settings: GenicamSettings) -> FoundCamera:
    found = find_cameras(settings.interface)
    for each in found:
        if settings.serial == each.serial if settings.serial else str(settings.address) == each.address:
            return each
    wanted = f"serial {settings.serial}" if settings.serial else settings.address
    others = "; ".join(map(str, found)) or "nothing"
    raise OSError(f"{wanted} does not answer; found: {others}")


def _as_text(value: Feature, kind: str) -> str:
    """Write a value as the camera's description wants it; YAML reads On and Off as booleans."""
    if isinstance(value, bool):
        return ("Off", "On")[value] if kind == "Enumeration" else str(value).lower()
    return str(value)


def _ticks_per_s(camera: viva_genicam.Camera) -> int:
    """Ask for the frequency of the camera's clock; 0 where it tells none. USB3 Vision counts nanoseconds."""
    import viva_genicam as vg

    if camera.transport == "u3v":
        return 1_000_000_000
    with contextlib.suppress(vg.GenicamError):
        if "GevTimestampTickFrequency" in camera.nodes():
            return int(camera.get("GevTimestampTickFrequency"))
        return int.from_bytes(camera.read_register(TICK_FREQUENCY_ADDRESS, 8), "big")
    return 0
