"""What every camera is: a source of frames. It belongs to the one thread that iterates over it."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from runtime.cameras.triggering import TakesTriggers
from runtime.parts.frame import Frame


class CameraState(StrEnum):
    """How it stands with a camera."""

    STREAMING = "streaming"
    STALLED = "stalled"
    """Connected, but it gives nothing new."""
    RECONNECTING = "reconnecting"
    STOPPED = "stopped"


@dataclass(frozen=True)
class CameraStatus:
    """A camera's state, since when (Unix time), and why."""

    state: CameraState
    since_at_s: float
    reason: str = ""
    """While it streams: what is to be looked at all the same."""
    last_frame_at_s: float | None = None
    reconnects: int = 0
    dropped: int = 0
    """Frames that were wanted and gave way to a newer one."""


class Memory(Protocol):
    """Knows what events were stored of, over all runs."""

    def knows(self, cause: bytes) -> bool:
        """Say whether all that was judged of `cause` is on disk."""

    def learn(self, cause: bytes) -> None:
        """Something that was judged is known by this `cause`, too."""

    def forget(self, cause: bytes) -> None:
        """Nothing will come again of this `cause`; what looks like it, or like a region of it, is new."""


class Camera:
    """A source of frames. What a live camera does beside giving them does nothing for a file."""

    frames_total: int | None
    """How many frames it will give, as far as is known; None for a camera that never ends."""

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """Give the frames, one after the other, until `stopping`. Never raises for a frame that cannot be read."""
        raise NotImplementedError

    @property
    def triggered(self) -> TakesTriggers | None:
        """Where triggers are handed in; None where the camera runs freely."""
        return None

    def newer(self, frame: Frame) -> Frame:
        """Say what to judge in place of `frame`, which has waited for its turn."""
        return frame

    def remember_by(self, memory: Memory) -> None:
        """Hear before the first frame who knows what was judged before."""

    def judged(self, cause: bytes) -> None:
        """All that was judged of the frame of this `cause` is on disk."""

    def status(self) -> CameraStatus | None:
        """How it stands with a camera that may fail while it runs; None for a file."""
        return None

    def close(self) -> None:
        """Release the device or file. Called by the thread that iterated; must not block."""
