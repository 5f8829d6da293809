"""Unlike: how a picture differs from all that trained, though it is judged all the same, and what to do about it."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from core.pictures.colour import other_colour
from core.pictures.geometry import ModelInput
from core.pictures.picture import Stored

SAID = {"other_shape": "are squeezed", "other_colour": "differ in colour"}
"""What is said of such pictures, for each way in which they may be other; tables have these names for columns."""
COLUMNS = tuple(SAID)
REMEDIES = {
    "other_shape": "give the camera a `roi` of that shape, or train on its pictures",
    "other_colour": "set the camera as the one whose pictures trained, or train on its pictures",
}


def unlike(seen: ModelInput, judged: Stored, frame_bgr_u8: NDArray[np.uint8]) -> dict[str, str]:
    """Say for each of COLUMNS how a picture differs from all that trained; empty where it does not.

    `judged` is what is judged of it, at its own size (`core.pictures.picture.fit`), `frame_bgr_u8` at the model's.
    """
    height, width = judged.shape[:2]
    return dict(zip(COLUMNS, (seen.other_shape(width, height), other_colour(frame_bgr_u8, seen.colours)), strict=True))


def with_remedy(way: str, other: str) -> str:
    """Say of a camera's pictures that they differ in one `way`, how, and what to do about it."""
    return f"{SAID[way]}, {other}; {REMEDIES[way]}"


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
            f"warning: {self._found[column]} of {self._count} pictures {SAID[column]}, such as {first}: what is said "
            "of them means little; give pictures as the line's camera gives them, and train on such.\n"
            for column, first in sorted(self._first.items())
        )
