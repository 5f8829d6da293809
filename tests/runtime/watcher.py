"""Takes a live camera's frames in a thread, as a feed does."""

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

from runtime.cameras.camera import CameraState
from runtime.cameras.live import LiveCamera
from runtime.cameras.opening import open_camera
from runtime.parts.frame import Frame
from runtime.parts.verdict import Reason
from tests.runtime.waiting import WAIT_S


class Watcher:
    """Keeps what a camera gives, from its start until `stop`."""

    def __init__(self, settings: Any, prepare: Callable[[LiveCamera], None] = lambda _camera: None) -> None:
        camera = open_camera("top", settings)
        assert isinstance(camera, LiveCamera)
        prepare(camera)
        self.camera = camera
        self.frames: list[Frame] = []
        self.hold = threading.Event()
        """While it is set no frame is taken, as when judging is slow."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for frame in self.camera.frames(self._stopping):
            self.frames.append(frame.developed())
            while self.hold.is_set() and not self._stopping.is_set():
                time.sleep(0.01)
        self.camera.close()

    @property
    def state(self) -> CameraState:
        return self.camera.status().state

    @property
    def reason(self) -> str:
        return self.camera.status().reason

    def seen(self) -> int:
        """How many frames had pixels."""
        return sum(frame.pixels_u8 is not None for frame in list(self.frames))

    def faults(self) -> list[Reason]:
        """Since it first gave a picture: opening takes its time."""
        since = itertools.dropwhile(lambda frame: frame.pixels_u8 is None, list(self.frames))
        return [frame.fault for frame in since if frame.fault is not None]

    def stop(self) -> float:
        """Returns how long it took, in s."""
        started_s = time.monotonic()
        self._stopping.set()
        self._thread.join(WAIT_S)
        return time.monotonic() - started_s
