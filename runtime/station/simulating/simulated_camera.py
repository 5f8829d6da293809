"""Simulated cameras: grey frames, some of them black, as files or as a live stream that stalls and is triggered."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.cameras.camera import Camera
from runtime.cameras.factory.part_queue import PartQueue
from runtime.cameras.live import LiveCamera
from runtime.cameras.settings import LiveCameraSettings
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.station.simulating.scenario import BLACK_SHARE, Play

HEIGHT, WIDTH = 480, 640


class Pictures:
    """Draws what a simulated camera sees."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng(seed)
        self._black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    def next(self) -> NDArray[np.uint8]:
        """Give the next picture (480, 640, 3), no two good ones alike."""
        if self._chance.random() < BLACK_SHARE:
            return self._black
        picture = np.full((HEIGHT, WIDTH, 3), self._chance.integers(100, 156), np.uint8)
        picture[0] = self._chance.integers(0, 256, (WIDTH, 3))
        return picture


class SimulatedCamera(Camera):
    """Frames as those of files: none is dropped, and it may end."""

    def __init__(self, parts: int | None, seed: int, play: Play | None = None) -> None:
        """Give `parts` frames, at the pace of `play`; None: for ever, and as fast as they are taken."""
        self.frames_total = parts
        self._pictures = Pictures(seed)
        self._play = play

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """See Camera."""
        number = 0
        while number != self.frames_total and not stopping.is_set():
            number += 1
            yield Frame(self._pictures.next(), Moment.now())
            if self._play is not None:
                stopping.wait(self._play.interval_s)


class SimulatedLiveCamera(LiveCamera):
    """A live camera's own behaviour, triggers and states, on a stream that is drawn."""

    def __init__(self, name: str, settings: LiveCameraSettings, parts: int | None, seed: int, play: Play) -> None:
        """Give `parts` frames, or parts where it is triggered; None: for ever."""
        trigger = settings.trigger
        # Where a trigger picks a frame, there has to be one near it.
        longest_s = trigger.tolerance_ms / 2000 if trigger is not None and not settings.every_frame_is_a_part else 1e9
        buffer = PartQueue(time.monotonic) if settings.every_frame_is_a_part else None
        super().__init__(name, settings, lambda: _Stream(seed, play, longest_s), buffer=buffer)
        self.frames_total = parts
        self.longest_wait_s = play.longest_wait_s

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """See Camera."""
        for number, frame in enumerate(super().frames(stopping), start=1):
            yield frame
            if number == self.frames_total:
                return


class _Stream:
    """What a live camera connects to. See Capture."""

    def __init__(self, seed: int, play: Play, longest_s: float) -> None:
        """Raises OSError while the camera is down."""
        if play.is_camera_down():
            raise ConnectionRefusedError(111, "simulated: the camera is down")
        self._pictures = Pictures(seed)
        self._play = play
        self._longest_s = longest_s

    def grab(self) -> bool:
        """See Capture."""
        time.sleep(min(self._play.interval_s, self._longest_s))
        return not self._play.is_camera_down()

    def retrieve(self) -> tuple[bool, Any]:
        """See Capture."""
        return True, self._pictures.next()

    def release(self) -> None:
        """See Capture."""
