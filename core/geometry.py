"""Geometry of pictures, in pixels."""

from dataclasses import dataclass, replace

Roi = tuple[int, int, int, int]
"""Region of interest: left, top, width, height."""
PartSize = tuple[int, int]
"""Length and breadth of the cut-out in pixels of the camera's picture: the part's own and a margin."""


@dataclass(frozen=True)
class ModelInput:
    """What a model sees of a camera's picture: a region of it, and of that the part cut out, at the model's size."""

    height: int
    width: int
    part_size: PartSize | None = None
    """None: all of the region."""
    roi: Roi | None = None
    """None: the whole picture."""
    bits: int = 16
    """Of a grey level in files that keep 16."""

    @property
    def cut_size(self) -> tuple[int, int] | None:
        """Width and height of what is cut out of a picture; None: nothing is."""
        return self.part_size or (self.roi[2:] if self.roi else None)

    @property
    def without_cut(self) -> "ModelInput":
        """The same of a picture that is cut already."""
        return replace(self, part_size=None, roi=None)
