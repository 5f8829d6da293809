"""GenTL: a factory camera behind its maker's producer, read frame by frame."""

import importlib.util
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, one_line
from runtime.cameras.factory.data_stream import (
    DELIVERED_HEIGHT,
    FRAME_ID,
    HEIGHT,
    OFFSET,
    PADDING,
    PAYLOAD_TYPE,
    PICTURES,
    WIDTH,
    DataStream,
    opened_stream,
)
from runtime.cameras.factory.features import set_up
from runtime.cameras.factory.pixel_format import CHANNELS, Raw, laid_out, require_known, to_u8
from runtime.cameras.factory.producer import Device, Producer, loaded, producer_files, quietly
from runtime.cameras.settings import GentlSettings
from runtime.parts.layout import Layout

if TYPE_CHECKING:
    from runtime.cameras.factory.genapi import GenapiNodes


def require_packages() -> None:
    """Raises ConfigError where a package of the extra `gentl` is missing."""
    if any(importlib.util.find_spec(name) is None for name in ("genicam", "viva_genicam")):
        raise ConfigError("camera of kind gentl: its packages are missing; pip install '.[gentl]'.")


@dataclass(frozen=True)
class FoundDevice:
    """A camera that a producer sees."""

    device: Device
    producer: Path

    @property
    def model(self) -> str:
        """What its maker calls it."""
        return self.device.model

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.device}, behind {self.producer.name}"

    def section(self) -> dict[str, str]:
        """Say what a configuration needs to find it again."""
        place = {"serial": self.device.serial} if self.device.serial else {"device": self.device.name}
        return {"kind": "gentl", "producer": str(self.producer), **place}


def find_devices(producer: Path) -> list[FoundDevice]:
    """List the cameras that a producer sees, or all of a folder. Raises OSError where one cannot be asked."""
    require_packages()
    found = []
    for file in producer_files(producer):
        with loaded(file) as driver:
            found += [FoundDevice(device, file) for device in driver.devices()]
    return found


def connection(settings: GentlSettings, is_trial: bool = False) -> Callable[[], "GentlStream"]:
    """Give what connects to the camera that `settings` name, and sets its features; in a trial it runs freely.

    It raises OSError with the reason where the camera does not answer, is another's, or refuses a feature.
    """
    require_packages()

    def connect() -> GentlStream:
        from runtime.cameras.factory.genapi import GenapiNodes

        with ExitStack() as opening:
            producer, found = _choose(settings, opening)
            device = opening.enter_context(producer.open_device(found))
            nodes = opening.enter_context(closing(GenapiNodes(producer, device)))
            set_up(nodes, settings, is_trial)
            pixel_format = require_known(str(nodes.get("PixelFormat")))
            frames = opening.enter_context(opened_stream(producer, device, int(nodes.get("PayloadSize"))))
            if "TLParamsLocked" in nodes.names():
                nodes.set("TLParamsLocked", "1")
                opening.callback(quietly, nodes.set, "TLParamsLocked", "0")
            nodes.execute("AcquisitionStart")
            opening.callback(quietly, nodes.execute, "AcquisitionStop")
            name = str(FoundDevice(found, producer.path))
            return GentlStream(frames, nodes, settings, name, pixel_format, opening.pop_all())

    return connect


class GentlStream:
    """Reads one camera's frames in turn, as a Capture. It belongs to one thread."""

    address = None
    """Its producer's matter."""

    def __init__(
        self,
        frames: DataStream,
        nodes: "GenapiNodes",
        settings: GentlSettings,
        name: str,
        pixel_format: str,
        opened: ExitStack,
    ) -> None:
        """`name` is for people; `opened` is closed at the end."""
        self.name = name
        self.layout: Layout = "BGR"
        """What the pixels are that `retrieve` gave last."""
        self._frames = frames
        self._nodes = nodes
        self._settings = settings
        self._pixel_format = pixel_format
        self._opened = opened
        self._lost = self._total = 0

    @property
    def time_s(self) -> float:
        """The camera's own time of what was grabbed; 0 where it tells none."""
        return self._frames.time_s

    @property
    def block_id(self) -> int:
        """The number of what was grabbed. Raises OSError where none is told: a lost part would not be missed."""
        number = self._frames.told(FRAME_ID)
        if number is None:
            raise OSError("its producer does not number frames, so a lost part would not be missed")
        return int(number)

    @property
    def chunks(self) -> dict[str, int | float | str] | None:
        """What the camera says of what was grabbed, by the names of its features; None where it says nothing."""
        if not self._settings.chunks or not self._frames.is_whole:
            return None
        names = [f"Chunk{name}" for name in self._settings.chunks]
        return self._nodes.chunks(self._frames.content(), self._frames.chunks(), sorted(names)) or None

    def grab(self) -> bool:
        """Wait for a frame; False where none came in time."""
        return self.wait(self._settings.timeout_s)

    def wait(self, timeout_s: float) -> bool:
        """Wait for a frame, which may say nothing of whether the camera is there: see `is_ours`.

        Raises OSError where the producer has given the camera up.
        """
        if not self._frames.wait(timeout_s):
            return False
        self._total += 1
        self._lost += not self._frames.is_whole
        return True

    def fire(self) -> bool:
        """Fire the software trigger; False where the camera does not say that it heard."""
        try:
            self._nodes.execute("TriggerSoftware")
        except OSError:
            return False
        return True

    def is_ours(self) -> bool:
        """Ask the camera itself, which takes a moment, whether it is there and accepts our commands."""
        return self._nodes.is_there()

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """Give the pixels of what was grabbed, (H, W) or (H, W, 3) as `layout` says.

        False and None where data of it was lost, or it is no picture.
        """
        if not self._frames.is_whole:
            return False, None
        try:
            pixels, self.layout = to_u8(self._raw(), self._pixel_format)
        except ValueError:
            return False, None
        return True, pixels

    def _raw(self) -> Raw:
        """Give what the camera sent. Raises ValueError where it is too little, or not one picture."""
        if self._frames.told(PAYLOAD_TYPE) not in PICTURES:
            raise ValueError("it is not one picture")
        width, height, delivered = (self._frames.told(what) for what in (WIDTH, HEIGHT, DELIVERED_HEIGHT))
        width = int(width or self._nodes.get("Width"))
        height = int(height or self._nodes.get("Height"))
        if (delivered or height) < height:
            raise ValueError(f"{delivered} of {height} lines")
        payload, padding = self._frames.content(self._frames.told(OFFSET) or 0), self._frames.told(PADDING) or 0
        if self._pixel_format in CHANNELS and not padding:
            return laid_out(payload, self._pixel_format, height, width)
        import viva_genicam as vg

        try:
            return vg.Frame.from_bytes(payload, width, height, self._pixel_format, padding).to_numpy()
        except vg.GenicamError as error:
            raise ValueError(one_line(error)) from error

    @property
    def packet_bytes(self) -> None:
        """Its producer's matter."""
        return

    @property
    def frames_lost(self) -> tuple[int, int]:
        """How many frames were not received whole so far, and how many came or should have."""
        unseen = self._frames.underruns
        return self._lost + unseen, self._total + unseen

    def release(self) -> None:
        """Release the camera; one that is dead is left as it is."""
        self._opened.close()


def _choose(settings: GentlSettings, opening: ExitStack) -> tuple[Producer, Device]:
    """Find the camera that `settings` name; its producer is released with `opening`.

    Raises OSError with what answers instead, and which producers cannot be asked.
    """
    others: list[str] = []
    for file in producer_files(settings.producer):
        with ExitStack() as asking:
            try:
                producer = asking.enter_context(loaded(file))
                devices = producer.devices()
            except OSError as error:
                others.append(str(error))
                continue
            for device in devices:
                if settings.serial == device.serial if settings.serial else settings.device == device.name:
                    opening.push(asking.pop_all())
                    return producer, device
            others += map(str, devices)
    wanted = f"serial {settings.serial}" if settings.serial else f"device {settings.device}"
    raise OSError(f"{wanted} does not answer; found: {'; '.join(others) or 'nothing'}")
