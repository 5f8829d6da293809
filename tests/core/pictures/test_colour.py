"""Colour: what of a picture is clear."""

import numpy as np
import pytest

from core.pictures.colour import colour_of, other_colour

RNG = np.random.default_rng(0)
SHADES = RNG.integers(40, 200, (50, 70)).astype(np.uint8)
AS_COLOUR = np.repeat(SHADES[:, :, None], 3, axis=2)
PAINTED = AS_COLOUR.copy()
PAINTED[10:40, 10:60, 2] = 220


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (SHADES, "grey"),
        (AS_COLOUR, "grey"),
        (np.clip(RNG.normal(100, 4, (200, 200, 3)), 0, 255).astype(np.uint8), "grey"),
        (PAINTED, "coloured"),
        ((AS_COLOUR * (1.0, 0.9, 0.8)).astype(np.uint8), "coloured"),
        (AS_COLOUR + np.array((0, 0, 3), np.uint8), ""),
        (AS_COLOUR * 0, ""),
        (AS_COLOUR * 0 + 255, ""),
        (np.full((1, 1, 3), (10, 90, 200), np.uint8), "coloured"),
    ],
)
def test_a_picture_is_grey_or_coloured_where_that_is_clear(picture: np.ndarray, told: str) -> None:
    assert colour_of(picture) == told


def test_what_differs_from_all_that_trained_is_told_both_ways_and_nothing_where_that_is_not_known() -> None:
    assert other_colour(SHADES, ("coloured",)) == "grey, and what trained coloured"
    assert other_colour(PAINTED, ("grey",)) == "coloured, and what trained grey"
    for known in ((), ("grey",), ("coloured", "grey")):
        assert other_colour(SHADES, known) == ""
