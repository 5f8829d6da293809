"""Bursts: pictures that were filmed one after the other and show one part, or nearly so, several times."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 32
"""Pixels across, at which pictures are held against each other: noise and a pixel's shift are gone."""
CHANCE = 6
"""Neighbours that are alike: of pictures in no order fewer are, by chance, in all but one of a thousand sets."""
FAR = 4
"""Pictures farther off than a quarter of all are no neighbours."""
_BLOCK = 512


def _slopes() -> NDArray[np.float32]:
    """Give what light that is one-sided adds to a picture: three columns (SIDE * SIDE, 3), at right angles."""
    down, across = np.mgrid[:SIDE, :SIDE].reshape(2, -1)
    return np.linalg.qr(np.stack([np.ones(SIDE**2), down, across], axis=1))[0].astype(np.float32)


_SLOPES = _slopes()


def look_of(frame_bgr_u8: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Make of a frame (H, W, 3) a small grey picture (SIDE * SIDE,) of one contrast, without mean and slope.

    Light that wanders slowly to a side would have neighbours look alike.
    """
    small = cv2.resize(frame_bgr_u8, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float32).ravel()
    grey -= _SLOPES @ (grey @ _SLOPES)
    return grey / max(float(grey.std()), 1.0)


def number_bursts(looks: Sequence[NDArray[np.float32]], paths: Sequence[Path]) -> NDArray[np.int64]:
    """Number (N,) the burst of each picture by their looks, in the order of the files as people count.

    Neighbours are of one burst where they are more alike than either is like any picture far off; none is longer than
    a quarter of all. Of pictures in no order a few are so by chance: see `are_filmed_again`.
    """
    count, order = len(paths), _in_order(paths)
    longest = max(1, count // FAR)
    ordered = np.stack(looks)[order]
    are_alike = np.square(np.diff(ordered, axis=0)).sum(axis=1) < _nearest_far(ordered, longest)
    starts, first = np.zeros(count, np.int64), 0
    for index, is_alike in enumerate(are_alike, 1):
        if not is_alike or index - first == longest:
            first = index
        starts[index] = first
    numbers = np.empty(count, np.int64)
    numbers[order] = np.unique(starts, return_inverse=True)[1]
    return numbers


def are_filmed_again(bursts: NDArray[np.int64]) -> bool:
    """Say whether more neighbours are alike than by chance: parts filmed several times, or a batch at a time."""
    return len(bursts) - len(np.unique(bursts)) >= CHANCE


def two_alike(
    bursts: NDArray[np.int64], looks: Sequence[NDArray[np.float32]], paths: Sequence[Path]
) -> tuple[Path, Path]:
    """Name two neighbours of one burst for somebody to look at: of all such the two that are as alike as is usual."""
    pairs = [(one, other) for one, other in pairwise(_in_order(paths).tolist()) if bursts[one] == bursts[other]]
    pairs.sort(key=lambda pair: float(np.square(looks[pair[0]] - looks[pair[1]]).sum()))
    one, other = pairs[len(pairs) // 2]
    return paths[one], paths[other]


def _in_order(paths: Sequence[Path]) -> NDArray[np.int64]:
    return np.array(sorted(range(len(paths)), key=lambda index: _in_words(paths[index])), np.int64)


def _in_words(path: Path) -> list[tuple[int, str]]:
    """Sort `2.png` before `10.png`."""
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in re.split(r"(\d+)", str(path))]


def _nearest_far(looks: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Squared distance (N - 1,) of each two neighbours, whichever is nearer, to the nearest picture beyond `reach`."""
    count, squares = len(looks), np.square(looks).sum(axis=1)
    nearest = np.empty(count, np.float32)
    for first in range(0, count, _BLOCK):
        block = looks[first : first + _BLOCK]
        apart = np.square(block).sum(axis=1)[:, None] + squares - 2 * block @ looks.T
        away = np.abs(np.arange(first, first + len(block))[:, None] - np.arange(count))
        nearest[first : first + len(block)] = np.where(away > reach, apart, np.inf).min(axis=1)
    return np.minimum(nearest[:-1], nearest[1:])
