"""A conveyor before a factory camera, for the tests of parts."""

import itertools
import time
from typing import Any

from runtime.cameras.camera import CameraState
from runtime.cameras.live import LiveCamera
from runtime.parts.frame import Trigger
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason
from tests.runtime.gige import FactoryCamera
from tests.runtime.waiting import wait_until
from tests.runtime.watcher import Watcher

BARRIER = {"TriggerMode": "On", "TriggerSource": "Software"}
"""Stands for the camera's line, which a software camera has not: the test is the light barrier."""

LOST = [(3, 1), *itertools.product((5, 6), range(3))]
"""Packets, by frame and number: of the third frame one, of the fifth and sixth all."""


class Line:
    """A conveyor before a camera: parts pass, and the camera sees them or not."""

    def __init__(
        self, camera: FactoryCamera, mode: str, features: dict[str, Any] | None = None, **changed: Any
    ) -> None:
        trigger = {"mode": mode, "tolerance_ms": changed.pop("tolerance_ms", 5000)}
        self._streams: list[Any] = []
        self._ids = itertools.count()
        self.watcher = Watcher(camera.settings(trigger=trigger, features=features or {}, **changed), self._keep_streams)

    def _keep_streams(self, camera: LiveCamera) -> None:
        connect = camera._connect

        def keep() -> Any:
            self._streams.append(connect())
            return self._streams[-1]

        camera._connect = keep

    def ready(self) -> None:
        wait_until(lambda: self.watcher.state == CameraState.STREAMING and bool(self._streams))

    def part_passes(self) -> None:
        """The light barrier fires the camera."""
        assert self._streams[-1].fire()

    def name(self, late_s: float = 0.0) -> str:
        """Tell the camera of a part; returns its id."""
        part_id = str(next(self._ids))
        now_s = time.monotonic()
        assert self.watcher.camera.triggered is not None
        self.watcher.camera.triggered.ask(Trigger(part_id, None, None, None, Moment(time.time(), now_s - late_s)))
        return part_id

    def wait_for(self, parts: int) -> None:
        wait_until(lambda: len(self.watcher.frames) >= parts)

    @property
    def told(self) -> list[tuple[str | None, Reason | None]]:
        """Each part's id and fault."""
        frames = list(self.watcher.frames)
        return [(frame.trigger.part_id if frame.trigger else None, frame.fault) for frame in frames]

    def tells_what_is_lost(self) -> None:
        """Eight parts pass a camera that loses LOST: each is one part, whole or with its fault."""
        for _ in range(8):
            self.name()
        self.wait_for(8)
        self.watcher.stop()
        faults = {"2": Reason.UNREADABLE, "4": Reason.NO_FRAME, "5": Reason.NO_FRAME}
        assert self.told[:8] == [(str(number), faults.get(str(number))) for number in range(8)]
