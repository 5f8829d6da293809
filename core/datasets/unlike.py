"""Unlike: how a picture differs from all that trained, though it is judged all the same, and what is said of many."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from core.pictures.colour import other_colour
from core.pictures.geometry import ModelInput

_WORDS = {
    "other_shape": "have another shape than any that trained, and are squeezed as none of those was",
    "other_colour": "are grey, and what trained is coloured, or the reverse",
}
COLUMNS = tuple(_WORDS)
"""What may be other, by the names that tables give it."""


def unlike(seen: ModelInput, judged_u8: NDArray[np.uint8], frame_bgr_u8: NDArray[np.uint8]) -> dict[str, str]:
    """Say for each of COLUMNS how a picture differs from all that trained; empty where it does not.

    `judged_u8` is what is judged of it, at its own size (`core.pictures.picture.fit`), `frame_bgr_u8` at the model's.
    """
    height, width = judged_u8.shape[:2]
    return dict(zip(COLUMNS, (seen.other_shape(width, height), other_colour(frame_bgr_u8, seen.colours)), strict=True))


class Unlikes:
    """Pictures of which some differ from all that trained."""

    def __init__(self) -> None:
        """Begin with none."""
        self._count = 0
        self._found: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, name: object, row: Mapping[str, object]) -> None:
        """Count a picture, in whose `row` COLUMNS say how it differs."""
        self._count += 1
        for column in COLUMNS:
            if row[column]:
                self._found[column] += 1
                self._first.setdefault(column, f"{name} ({row[column]})")

    def told(self) -> str:
        """Warn of those that differ, a line for each way, in which the first is named; empty where there are none."""
        return "".join(
            f"warning: {self._found[column]} of {self._count} pictures {_WORDS[column]}, such as {first}: what is said "
            "of them means little; give pictures as the line's camera gives them, and train on such.\n"
            for column, first in sorted(self._first.items())
        )
