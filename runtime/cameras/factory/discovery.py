"""Discovery: which factory cameras answer, on the network (GigE Vision) and on USB (USB3 Vision)."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from core.errors import CameraError, ConfigError, one_line
from runtime.cameras.factory.gentl import find_devices
from runtime.cameras.settings import GenicamSettings

if TYPE_CHECKING:
    import viva_genicam

DISCOVERY_MS = 300
"""How long cameras may take to answer."""
SERIALS = ("DeviceSerialNumber", "DeviceID")
"""Features that hold the serial number; older cameras have the second alone."""


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
    interface: str | None = None
    """The network interface on which it was looked for; None where it was on all."""

    def __str__(self) -> str:
        """Name it for people."""
        where = f"at {self.address}" if self.address else "on USB"
        return f"{self.model}, serial {self.serial or 'unknown'}, {where}"

    def section(self) -> dict[str, str]:
        """Say what a configuration needs to find it again."""
        place = {"serial": self.serial} if self.serial else {"address": str(self.address)}
        return {"kind": "genicam", **place, **({"interface": self.interface} if self.interface else {})}


class Listed(Protocol):
    """A camera that answers, of any kind. Its words are for people."""

    @property
    def model(self) -> str:
        """What its maker calls it."""

    def section(self) -> dict[str, str]:
        """Say what a configuration needs to find it again."""


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Carry the library's errors over to OSError, whose text the camera's status tells."""
    import viva_genicam as vg

    try:
        yield
    except vg.GenicamError as error:
        raise OSError(one_line(error)) from error


def require_package() -> None:
    """Raises ConfigError where the package of the extra `genicam` is missing."""
    if importlib.util.find_spec("viva_genicam") is None:
        raise ConfigError("camera of kind genicam: its package is missing; pip install '.[genicam]'.")


def find_cameras(interface: str | None) -> list[FoundCamera]:
    """List the cameras that answer, on one network `interface` (its name or IPv4 address) or on all and on USB.

    Raises OSError with the reason, ConfigError where the package is missing.
    """
    require_package()
    import viva_genicam as vg

    with as_os_errors():
        found = [_look_at(device, interface) for device in vg.discover(DISCOVERY_MS, iface=interface)]
    if interface is None:
        with contextlib.suppress(vg.GenicamError):  # a machine without USB
            found += [
                FoundCamera(device.model or "a camera", device.serial or "", None, device)
                for device in vg.discover_u3v()
            ]
    return found


def choose(settings: GenicamSettings) -> FoundCamera:
    """Find the camera that `settings` name. Raises OSError with what answers instead."""
    found = find_cameras(settings.interface)
    for each in found:
        if settings.serial == each.serial if settings.serial else str(settings.address) == each.address:
            return each
    wanted = f"serial {settings.serial}" if settings.serial else settings.address
    others = "; ".join(map(str, found)) or "nothing"
    raise OSError(f"{wanted} does not answer; found: {others}")


def list_cameras(interface: str | None, producer: Path | None) -> str:
    """Write what answers on `interface`, or behind a GenTL `producer`, as the lines that a configuration takes.

    Raises CameraError where nothing does, ConfigError where both are given or a package is missing.
    """
    if interface and producer:
        raise ConfigError("a producer looks on its own interfaces; give --interface or --producer.")
    try:
        found: Sequence[Listed] = find_cameras(interface) if producer is None else find_devices(producer)
    except OSError as error:
        raise CameraError(f"cannot search for cameras: {error}") from error
    if not found:
        where = "it is in this machine's network (subnet)" if producer is None else "its maker's software shows it"
        raise CameraError(f"no camera answers; check power and cable, and that {where}.")
    lines = ["cameras:"]
    for number, each in enumerate(found, start=1):
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", each.model)[:60]
        section = [f"{key}: {value if key == 'kind' else json.dumps(value)}" for key, value in each.section().items()]
        lines += [f"  # {each}", f"  {name}-{number}: {{{', '.join(section)}}}"]
    return "\n".join(lines)


def _look_at(device: viva_genicam.GigeDeviceInfo, interface: str | None) -> FoundCamera:
    """Ask a camera for its serial number, without taking it from whoever has it."""
    import viva_genicam as vg

    serial = ""
    with contextlib.suppress(vg.GenicamError), vg.connect_gige(device, interface, monitor=True) as camera:
        serial = next((camera.get(name) for name in SERIALS if name in camera.nodes()), "")
    return FoundCamera(device.model or "a camera", serial, device.ip, device, interface)
