"""A frame as a camera gave it, and the trigger that asked for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self

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
class FileMark:
    """What is known of the file that a frame was."""

    identity: str
    """What makes it this one, with its content: by it events of the same picture have the same id, in every run."""
    part_id: str | None = None
    """What its name says of the part; of one that was triggered, the trigger does."""


class Undeveloped(Protocol):
    """What a stream gave of a frame, before its pixels are worked out."""

    def rows(self) -> Sequence[NDArray[np.uint8]]:
        """Give what it holds, row by row: two frames that hold the same look alike to the last bit."""

    def pixels_bgr_u8(self) -> NDArray[np.uint8] | None:
        """Work out its pixels, (H, W, 3), which takes its time; None where it is damaged."""


@dataclass(frozen=True)
class Frame:
    """One frame as the camera gave it."""

    pixels_u8: NDArray[np.uint8] | None
    """(H, W, 3), or (H, W) of a mono camera or a mosaic, at its resolution; None: `fault` says why, or it is
    not developed."""
    captured: Moment
    """Of a live camera, when the frame arrived; of a file, when it was read."""
    source: str | None = None
    """File name, where the frame came from a file."""
    fault: Reason | None = None
    why: str | None = None
    """Of what is unreadable in a file, which file and why, in words."""
    cause: bytes | None = None
    """What makes a picture that was put into a watched folder this one: by it the station knows what it has judged."""
    mark: FileMark | None = None
    """Of a picture that was put into a watched folder, or that somebody asks about."""
    trigger: Trigger | None = None
    chunks: Mapping[str, int | float | str] | None = None
    """What a factory camera said of the frame, by the names of its features; None where it was not asked."""
    stored_u16: NDArray[np.uint16] | None = None
    """What a file of 16 bits holds: the model says how many of them count, and then they are `pixels_u8`."""
    layout: Layout = "BGR"
    undeveloped: Undeveloped | None = None
    """Of a stream; whoever judges the frame asks for it `developed`."""

    def rows(self) -> Sequence[NDArray[np.uint8]]:
        """Give what it holds, developed or not; nothing where there is a fault instead."""
        if self.undeveloped is not None:
            return self.undeveloped.rows()
        return [] if self.pixels_u8 is None else [self.pixels_u8]

    def developed(self) -> Self:
        """Give the frame with its pixels worked out, or as unreadable where it turns out to be damaged."""
        if self.undeveloped is None:
            return self
        pixels = self.undeveloped.pixels_bgr_u8()
        fault = self.fault or (Reason.UNREADABLE if pixels is None else None)
        return replace(self, pixels_u8=pixels, fault=fault, undeveloped=None)

    @cached_property
    def pixels_bgr_u8(self) -> NDArray[np.uint8] | None:
        """The same in BGR, (H, W, 3), or grey (H, W); worked out where somebody asks."""
        return None if self.pixels_u8 is None else to_bgr(self.pixels_u8, self.layout)
