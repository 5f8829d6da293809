"""Unlike: how the pictures of a camera differ from all that trained, though they are judged all the same."""

import logging
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from core.pictures.colour import other_colour
from core.pictures.geometry import ModelInput
from core.pictures.unlike import REMEDIES, SAID, with_remedy
from runtime.parts.part import Part

log = logging.getLogger(__name__)
COLOUR_EVERY = 32
"""Of a stream's parts the first and then each so many is asked for its colour: cameras turn grey at night."""


class Unlike:
    """Of one camera's streams. Belongs to the thread that reads it; `words` is for any."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._parts: Counter[str] = Counter()
        self._others: dict[tuple[str, str], str] = {}
        """How what was seen last of a stream differs, in each way; empty where it does not."""
        self._told: set[tuple[str, tuple[object, ...]]] = set()
        """Of which it was told: streams, each by what is known of the pictures that trained."""

    def look(self, part: Part, row_bgr_u8: NDArray[np.uint8], seen: ModelInput) -> None:
        """Look at a part, and at what its row (h, w, 3) holds; warn once for each stream and model."""
        self._parts[part.camera] += 1
        if part.size is not None:
            self._note(part.camera, "other_shape", seen.aspects, seen.other_shape(*part.size))
        # A frame at fault did not fill the row. Seldom: it takes longer than all else that is asked here.
        if not part.faults and self._parts[part.camera] % COLOUR_EVERY == 1:
            self._note(part.camera, "other_colour", seen.colours, other_colour(row_bgr_u8, seen.colours))

    def words(self) -> dict[str, str]:
        """Say of each stream that differs how, and what to do about it."""
        found: dict[str, list[str]] = {}
        for (stream, way), other in self._others.copy().items():
            if other:
                found.setdefault(stream, []).append(with_remedy(way, other))
        return {stream: "; ".join(all_said) for stream, all_said in found.items()}

    def _note(self, stream: str, way: str, known: tuple[object, ...], other: str) -> None:
        self._others[stream, way] = other
        if other and (about := (stream, known)) not in self._told:
            self._told.add(about)
            log.warning("pictures %s camera=%s reason=%r remedy=%r", SAID[way], stream, other, REMEDIES[way])
