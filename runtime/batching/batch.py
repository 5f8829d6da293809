"""A batch: rows of one buffer that cameras fill in place."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runtime.batching.task import Task
from runtime.parts.part import Part


@dataclass(eq=False)
class Batch:
    """Rows of one buffer (max_batch, H, W, 3) uint8, filled from the first on."""

    buffer: NDArray[np.uint8]
    oldest_s: float
    """When the first row was claimed."""
    recipe: str | None
    """Of the one model that judges it; see Origin."""
    parts: list[Part | None] = field(default_factory=list)
    """One a row, in the order of the claims; None while the camera still writes."""
    tasks: list[Task] = field(default_factory=list)
    """What is done with each of the parts."""

    @property
    def frames_bgr_u8(self) -> NDArray[np.uint8]:
        """The filled rows (n, H, W, 3)."""
        return self.buffer[: len(self.parts)]

    @property
    def written(self) -> list[Part]:
        """The parts whose rows are written: of a taken batch all of them."""
        return [part for part in self.parts if part is not None]

    @property
    def is_full(self) -> bool:
        """Whether no row is left."""
        return len(self.parts) == len(self.buffer)


@dataclass(frozen=True)
class BatchRow:
    """A claimed row: do its task, write into `pixels` (H, W, 3), then commit."""

    batch: Batch
    row: int
    task: Task

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The row's own memory."""
        row: NDArray[np.uint8] = self.batch.buffer[self.row]
        return row
