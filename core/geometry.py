"""Geometry of pictures, in pixels."""

from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Pose:
    """How a part that may lie anywhere is cut out of its picture, lying straight."""

    size: PartSize
    upright: str | None = None
    """What is on it when it lies upright (core/upright.py); None: its long axis says how it lies."""


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

    @property
    def cut_size(self) -> tuple[int, int] | None:
        """Width and height of what is cut out of a picture; None: nothing is."""
        return self.pose.size if self.pose else (self.roi[2:] if self.roi else None)

    @property
    def without_cut(self) -> "ModelInput":
        """The same of a picture that is cut already."""
        return replace(self, pose=None, roi=None)
