"""GenICam: a factory camera of GigE Vision or USB3 Vision, read block by block.

The package viva-genicam is young: it is pinned exactly, and seen by the modules of this folder alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import one_line
from runtime.cameras.factory.discovery import FoundCamera, as_os_errors, choose, require_package
from runtime.cameras.factory.features import numbers_of_chunks, set_up
from runtime.cameras.factory.pixel_format import CHANNELS, Raw, laid_out, require_known, to_u8
from runtime.cameras.settings import GenicamSettings
from runtime.parts.layout import Layout

if TYPE_CHECKING:
    import viva_genicam

TICK_FREQUENCY_ADDRESS = 0x093C
"""Bootstrap register of GigE Vision: how often a second the camera's clock ticks, 64 bits."""
CONTROL_ADDRESS = 0x0A00
"""Bootstrap register of GigE Vision: whether whoever asks controls the camera."""
PACKET_SIZE = "GevSCPSPacketSize"


def connection(settings: GenicamSettings, is_trial: bool = False) -> Callable[[], GenicamStream]:
    """Give what connects to the camera that `settings` name, and sets its features; in a trial it runs freely.

    It raises OSError with the reason where the camera does not answer, is another's, or refuses a feature.
    """
    require_package()

    def connect() -> GenicamStream:
        import viva_genicam as vg

        found = choose(settings)
        interface = settings.interface
        with as_os_errors():
            camera = vg.connect_gige(found.device, interface) if found.address else vg.connect_u3v(found.device)
        try:
            set_up(VivaNodes(camera), settings, is_trial)
            return GenicamStream(camera, settings, found)
        except BaseException:
            _let_go(camera)
            raise

    return connect


class VivaNodes:
    """See Nodes."""

    def __init__(self, camera: viva_genicam.Camera) -> None:
        self._camera = camera
        self._kinds = {node.name: node.kind for node in camera.all_node_info()}

    def names(self) -> Collection[str]:
        """See Nodes."""
        return self._kinds.keys()

    def features(self) -> Collection[str]:
        """See Nodes."""
        return [feature for names in self._camera.categories().values() for feature in names]

    def kind(self, name: str) -> str:
        """See Nodes."""
        return self._kinds[name]

    def entries(self, name: str) -> list[str]:
        """See Nodes."""
        with as_os_errors():
            return self._camera.available_enum_entries(name) if self.kind(name) == "Enumeration" else []

    def set(self, name: str, value: str) -> None:
        """See Nodes."""
        with as_os_errors():
            self._camera.set(name, value)

    def execute(self, name: str) -> None:
        """See Nodes."""
        with as_os_errors():
            self._camera.execute(name, wait=False)


class GenicamStream:
    """Reads one camera's blocks in turn, as a Capture. It belongs to one thread."""

    def __init__(self, camera: viva_genicam.Camera, settings: GenicamSettings, found: FoundCamera) -> None:
        """Start the acquisition. Raises OSError where the camera gives no pictures."""
        self.name = str(found)
        """For people."""
        self.address = found.address
        """On the network; None on USB."""
        self.layout: Layout = "BGR"
        """What the pixels are that `retrieve` gave last."""
        self._camera = camera
        self._timeout_s = settings.timeout_s
        self._frame: viva_genicam.Frame | None = None
        with as_os_errors():
            require_known(camera.get("PixelFormat"))
            self._ticks_per_s = _ticks_per_s(camera)
            self._numbers = numbers_of_chunks(VivaNodes(camera))
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

    @property
    def block_id(self) -> int:
        """The camera's number of what was grabbed."""
        return self._frame.block_id if self._frame is not None else 0

    @property
    def chunks(self) -> dict[str, int | float | str] | None:
        """What the camera says of what was grabbed, by the names of its features; None where it says nothing."""
        if self._frame is None or not self._frame.chunks:
            return None
        told = self._camera.chunk_features(self._frame)
        return {
            name: self._numbers.get(name, str)(value) for name, value in sorted(told.items()) if isinstance(value, str)
        }

    def grab(self) -> bool:
        """Wait for a block; False where none came in time, or another has taken the camera."""
        import viva_genicam as vg

        if not self.wait(self._timeout_s):
            return False
        return self._camera.transport != "gige" or self._camera.control_state != vg.ControlState.LOST

    def wait(self, timeout_s: float) -> bool:
        """Wait for a block, which may say nothing of whether the camera is there: see `is_ours`."""
        import viva_genicam as vg

        try:
            self._frame = self._stream.next_frame(max(0, int(timeout_s * 1000)))
        except vg.GenicamError:
            return False
        return self._frame is not None

    def fire(self) -> bool:
        """Fire the software trigger; False where the camera does not say that it heard."""
        import viva_genicam as vg

        try:
            self._camera.trigger_software()
        except vg.GenicamError:
            return False
        return True

    def is_ours(self) -> bool:
        """Ask the camera itself, which takes a moment, whether it is there and accepts our commands."""
        import viva_genicam as vg

        try:
            if self._camera.transport == "gige":
                return any(self._camera.read_register(CONTROL_ADDRESS, 4))
            return bool(self._camera.read_register(0, 4))
        except vg.GenicamError:
            return False

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """Give the pixels of what was grabbed, (H, W) or (H, W, 3) as `layout` says.

        False and None where packets of it were lost, or it has fewer bytes than its size and format need.
        """
        frame = self._frame
        if frame is None or not frame.is_complete:
            return False, None
        try:
            pixels, self.layout = to_u8(raw_of(frame), frame.pixel_format)
        except ValueError:
            return False, None
        return True, pixels

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
        """Release the camera; one that is dead is left as it is."""
        import viva_genicam as vg

        with contextlib.suppress(vg.GenicamError):
            self._stream.__exit__(None, None, None)
        _let_go(self._camera)


def raw_of(frame: viva_genicam.Frame) -> Raw:
    """Give what the camera sent, by one copy where it can be. Raises ValueError where it is too little for its size."""
    import viva_genicam as vg

    if frame.pixel_format in CHANNELS and not frame.padding_x and not frame.chunks:
        return laid_out(frame.payload(), frame.pixel_format, frame.height, frame.width)
    try:
        return frame.to_numpy()
    except vg.GenicamError as error:
        raise ValueError(one_line(error)) from error


def _let_go(camera: viva_genicam.Camera) -> None:
    import viva_genicam as vg

    with contextlib.suppress(vg.GenicamError):
        camera.close()


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
