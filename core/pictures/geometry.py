"""Geometry of pictures, in pixels."""

from bisect import bisect
from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import Field

Offset = Annotated[int, Field(ge=0)]
Length = Annotated[int, Field(ge=1)]
Roi = tuple[Offset, Offset, Length, Length]
"""Region of interest: left, top, width, height."""
PartSize = tuple[int, int]
"""Length and breadth of the cut-out in pixels of the camera's picture: the part's own and a margin."""
ANGLES, RINGS = 128, 32
"""Of the colours around a part's middle, by which it is turned upright."""
UPRIGHT_CHARACTERS = ANGLES * RINGS * 3 * 4 // 3
"""Of those colours as text (base64)."""
OTHER_SHAPE = 1.1
"""Width by height of one picture, over that of another. All are squeezed into the input's shape: from 1.11 on, what
lies at the edge comes half a place of the encoder's maps, which have 9 along a side, from where it was learned."""


@dataclass(frozen=True)
class Pose:
    """How a part that may lie anywhere is cut out of its picture, lying straight."""

    size: PartSize
    upright: str | None = None
    """What is on it when it lies upright (core/pictures/upright.py); None: its long axis says how it lies."""


@dataclass(frozen=True)
class ModelInput:
    """What a model sees of a camera's picture: a region of it, and of that the part cut out, at the model's size."""

    height: int
    width: int
    pose: Pose | None = None
    """None: all of the region."""
    roi: Roi | None = None
    """None: the whole picture."""
    bits: int = 16
    """Of a grey level in files that keep 16."""
    aspects: tuple[float, ...] = field(default=(), compare=False)
    """Width by height of what trained, before it was squeezed into the input's shape, ascending; empty: not known."""
    colours: tuple[str, ...] = field(default=(), compare=False)
    """Whether what trained is grey or coloured (core/pictures/colour.py), or some of it each; empty: not known."""

    @property
    def cut_size(self) -> tuple[int, int] | None:
        """Width and height of what is cut out of a picture; None: nothing is."""
        return self.pose.size if self.pose else (self.roi[2:] if self.roi else None)

    @property
    def without_cut(self) -> "ModelInput":
        """The same of a picture that is cut already."""
        return replace(self, pose=None, roi=None)

    def within(self, roi: Roi | None) -> "ModelInput":
        """The same where a camera has a region of its own; None: it has not."""
        return replace(self, roi=roi) if roi else self

    def other_shape(self, width: int, height: int) -> str:
        """Say how the shape of a picture of this size differs from all that trained; empty where it does not."""
        aspect = aspect_of(*(self.cut_size or (width, height)))
        place = bisect(self.aspects, aspect)
        apart = {max(aspect / near, near / aspect): near for near in self.aspects[max(0, place - 1) : place + 1]}
        if min(apart, default=1.0) <= OTHER_SHAPE:
            return ""
        return f"{aspect:.3g} times as wide as high, and what trained {apart[min(apart)]:.3g}"


def aspect_of(width: int, height: int) -> float:
    """Give width by height, to three digits."""
    return float(f"{width / height:.3g}")
