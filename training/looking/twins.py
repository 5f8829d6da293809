"""Twins: pictures that show again what another one shows: saved again, or filmed again with nothing moved."""

import math
from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Float = TypeVar("Float", np.float16, np.float32)
NEAR = 0.0025
"""Mean squared difference of two looks: of a picture and the same at half its size, or as JPEG of quality 50, it is
less. Solar cells that stood beside each other differ by more, by 0.0028 and up (benchmarks/twins.py)."""
APART = 0.08
"""Of the distance to the tenth nearest: a twin lies so much nearer. Where all parts look the same, none does."""
TENTH = 10
SHOWS = 0.5
"""Mean square of a look: it is 1, or less where a picture's contrast is below one grey level."""
DETAIL_SIDE = 64
DETAIL = 2.5
"""Difference of two pictures' details where they differ most: with a defect that can be seen it is more, by a pixel's
shift or from pixels of another size less."""
TURNED = 0.12
"""The same where one is turned by right angles or mirrored: of a copy that was saved without loss it is 0, of JPEGs of
quality 95 less in every other set or so. Symmetric parts without marks that merely lie so differ by 0.18 and up."""
TURNS = [(quarters, mirrored) for mirrored in (False, True) for quarters in range(4)][1:]
_BLOCK = 512


def detail_of(frame_bgr_u8: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Make of a frame (H, W, 3) the edges and marks (DETAIL_SIDE * DETAIL_SIDE,), of one contrast."""
    small = cv2.resize(frame_bgr_u8, (DETAIL_SIDE, DETAIL_SIDE), interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 1)
    return (fine / max(float(fine.std()), 1.0)).ravel().astype(np.float16)


def twins_of(
    looks: Sequence[NDArray[np.float32]], details: Sequence[NDArray[np.float16]], trained: int
) -> list[tuple[int, int]]:
    """Pair each picture with the nearest one before it that it shows again, by `look_of` and `detail_of` each.

    The first `trained` pictures are for training: each pair begins with one of them. What shows nothing is paired with
    nothing.
    """
    every = np.stack(looks)
    count, shows = len(every), np.square(every).mean(axis=1) > SHOWS
    rank = min(TENTH, count - 1) - 1
    if rank < 0:
        return []
    tenth = np.full(count, np.inf, np.float32)
    alike: list[tuple[float, int, int]] = []
    for first in range(0, count, _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, count))
        apart = _apart(every[rows], every)
        apart[rows - first, rows] = np.inf
        lone = apart.min(axis=1) >= NEAR
        tenth[rows[~lone]] = np.partition(apart[~lone], rank, axis=1)[:, rank]
        before = np.arange(count) < np.minimum(rows, trained)[:, None]
        most = np.minimum(NEAR, APART * tenth[rows])[:, None]  # so that a row has nine at most
        near = np.argwhere(before & (apart < most) & shows).tolist()
        alike += [(float(apart[row, one]), first + row, one) for row, one in near]
    pairs: dict[int, int] = {}
    for far, picture, one in sorted(alike):
        if far < APART * tenth[one] and _differ(details[picture], details[one]) < DETAIL:
            pairs.setdefault(picture, one)
    return [(one, picture) for picture, one in sorted(pairs.items())]


def turned_twins_of(
    looks: Sequence[NDArray[np.float32]], details: Sequence[NDArray[np.float16]], trained: int
) -> list[tuple[int, int]]:
    """Pair each picture behind the first `trained` with one of them that it shows turned or mirrored."""
    if not 0 < trained < len(looks):
        return []
    good, tested = np.stack(looks[:trained]), looks[trained:]
    rank = min(TENTH, trained) - 1
    pairs: dict[int, int] = {}
    for turn in TURNS:
        turned = np.stack([_turned(look, *turn) for look in good])
        shows = np.square(turned).mean(axis=1) > SHOWS
        for first in range(0, len(tested), _BLOCK):
            apart = _apart(np.stack(tested[first : first + _BLOCK]), turned)
            rows = np.flatnonzero(apart.min(axis=1) < NEAR)
            most = np.minimum(NEAR, APART * np.partition(apart[rows], rank, axis=1)[:, [rank]])
            for row, one in np.argwhere((apart[rows] < most) & shows).tolist():
                picture = trained + first + int(rows[row])
                if _differ(details[picture], _turned(details[one], *turn)) < TURNED:
                    pairs.setdefault(picture, one)
    return [(one, picture) for picture, one in sorted(pairs.items())]


def _apart(looks: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean squared difference (N, M) of looks (N, SIDE * SIDE) and others (M, SIDE * SIDE)."""
    squares, other_squares = (np.square(each).mean(axis=1) for each in (looks, others))
    apart: NDArray[np.float32] = looks @ others.T
    apart *= -2 / looks.shape[1]
    apart += squares[:, None]
    apart += other_squares
    np.maximum(apart, 0, out=apart)
    return apart


def _turned(square: NDArray[Float], quarters: int, mirrored: bool) -> NDArray[Float]:
    side = math.isqrt(len(square))
    grid = square.reshape(side, side)
    return np.rot90(grid[:, ::-1] if mirrored else grid, quarters).ravel()


def _differ(detail: NDArray[np.float16], other: NDArray[np.float16]) -> float:
    return float(np.abs(detail.astype(np.float32) - other).max())
