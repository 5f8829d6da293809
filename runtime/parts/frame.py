"""A frame as a camera gave it, and the trigger that asked for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from runtime.parts.layout import Layout, to_bgr
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason


@dataclass(frozen=True)
class Trigger:
    """What the MES said of a part that stands before the camera."""

    part_id: str
    job_id: str | None
    recipe: str | None
    id: str | None
    target: Moment
    """When the frame was to be taken."""
    cause: bytes | None = None
    """The message that it came with: by it the station knows it again, should the broker hand it over twice."""


@dataclass(frozen=True)
class Frame:
    """One frame as the camera gave it."""

    pixels_u8: NDArray[np.uint8] | None
    """(H, W, 3), or (H, W) of a mono camera or a mosaic, at its resolution; None: `fault` says why."""
    captured: Moment
    """Of a live camera, when the frame arrived; of a file, when it was read."""
    source: str | None = None
    """File name, where the frame came from a file."""
    fault: Reason | None = None
    cause: bytes | None = None
    """What makes a picture that was put into a watched folder this one: by it the station knows what it has judged."""
    identity: str | None = None
    """The same with its content: by it events of the same picture have the same id, in every run."""
    part_id: str | None = None
    """What its file's name says of the part; of one that was triggered, the trigger does."""
    trigger: Trigger | None = None
    chunks: Mapping[str, int | float | str] | None = None
    """What a factory camera said of the frame, by the names of its features; None where it was not asked."""
    stored_u16: NDArray[np.uint16] | None = None
    """What a file of 16 bits holds: the model says how many of them count, and then they are `pixels_u8`."""
    layout: Layout = "BGR"

    @cached_property
    def pixels_bgr_u8(self) -> NDArray[np.uint8] | None:
        """The same in BGR, (H, W, 3), or grey (H, W); worked out where somebody asks."""
        return None if self.pixels_u8 is None else to_bgr(self.pixels_u8, self.layout)
