"""A part: what is known of one region of a frame, and how it looks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from runtime.parts.frame import FileMark, Trigger
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason

Picture = Callable[[], NDArray[np.uint8]]
"""Works out what is judged of a frame, at the camera's own size; most are never asked for."""


@dataclass(frozen=True)
class Part:
    """What is known of it."""

    camera: str
    """The camera's name, with that of the region where it has several."""
    captured: Moment
    size: tuple[int, int] | None
    """Width and height of the camera's frame in pixels; None where it had none."""
    source: str | None
    """File name, where the frame came from a file."""
    faults: tuple[Reason, ...]
    trigger: Trigger | None = None
    chunks: Mapping[str, int | float | str] | None = None
    """What a factory camera said of the frame."""
    stale_s: float | None = None
    """When it is too old to be judged, on the monotonic clock; None for a part that does not age."""
    cause: bytes | None = None
    """Of its frame, or of the trigger that asked for it; None where more of the frame is judged after it."""
    mark: FileMark | None = None
    """Of a picture that was put into a watched folder."""
    picture: Picture | None = field(default=None, compare=False, repr=False)
    """None: there is nothing to be seen."""
    answers: SimpleQueue[bytes] | None = field(default=None, compare=False, repr=False)
    """Where its event goes, and nowhere else, where somebody asked about a picture; None for a part of the line's."""

    @cached_property
    def pixels_bgr_u8(self) -> NDArray[np.uint8] | None:
        """What is judged, at the camera's own size: (H, W, 3) or grey (H, W). Nobody changes it."""
        return None if self.picture is None else self.picture()

    @property
    def part_id(self) -> str | None:
        """Who it is, where its trigger or its file's name says so."""
        if self.trigger is not None:
            return self.trigger.part_id
        return self.mark.part_id if self.mark is not None else None

    @property
    def own_cause(self) -> bytes | None:
        """By what its event is known again: the regions of a triggered frame are not all stored at once."""
        if self.cause is not None or self.trigger is None or self.trigger.cause is None:
            return self.cause
        return self.trigger.cause + self.camera.encode()

    @property
    def arrived(self) -> Moment:
        """When it was before the camera: its trigger knows better than its frame."""
        return self.captured if self.trigger is None else self.trigger.target

    def faults_at(self, now_s: float) -> tuple[Reason, ...]:
        """Give its faults, at the moment when it is judged."""
        is_stale = self.stale_s is not None and now_s > self.stale_s and Reason.NO_FRAME not in self.faults
        return (*self.faults, Reason.STALE) if is_stale else self.faults
