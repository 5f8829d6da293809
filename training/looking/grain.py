"""Grain: what is fine in a picture, and tells a part that is shown again from another one that merely lies alike."""

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from core.progress import counted
from training.looking.twins import TENTH

SHARED = 0.1
"""Of the grain that others do not have, two parts share 0, by chance up to 0.02; copies 0.17 and more, as JPEG of
quality 30 or filmed again with three times the noise too (benchmarks/sketch_lie_alike.py)."""
OTHERS = 4
"""Pictures that tell what all have."""
IN_VAIN = 100
"""So many pairs in a row that merely lie alike: those that lie less near do so too."""
SIDE = 384
"""Pixels of the longer side at most, at which grain is looked at."""
_FINE, _COARSE, _AROUND = 1, 3, 8
"""Sigma in pixels of what is finer than grain, of what is coarser, and of the surroundings that say what is usual."""
_LEAST_LEVELS = 0.1
"""What is usual is no less: where grey levels are cut off there is no grain."""
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
Frame = NDArray[np.uint8]
Grey = NDArray[np.float32]


def copies_among(
    pairs: Sequence[tuple[int, int]],
    looks: Sequence[NDArray[np.float32]],
    frame_of: Callable[[int], Frame],
) -> list[tuple[int, int]]:
    """Leave out the pairs of pictures that merely lie alike; those that lie nearest by their `looks` are seen first.

    `frame_of` reads a picture, (H, W, 3). What all have tell the OTHERS that come next after the TENTH nearest, up to
    which there may be more copies, or the farthest: so there are three pictures or more. Raises what `frame_of` does.
    """
    every = np.stack(looks)
    copies, in_vain = [], 0
    nearest_first = sorted(pairs, key=lambda pair: float(np.square(every[pair[0]] - every[pair[1]]).sum()))
    for one, again in counted(nearest_first, "looking at pictures that lie alike"):
        by_look = np.argsort(np.square(every - every[one]).sum(axis=1), kind="stable")
        ranked = [int(other) for other in by_look if other not in (one, again)]
        others = ranked[TENTH : TENTH + OTHERS] if len(ranked) >= TENTH + OTHERS else ranked[-OTHERS:]
        if own_grain_shared(frame_of(one), frame_of(again), map(frame_of, others)) > SHARED:
            copies.append((one, again))
            in_vain = 0
        elif (in_vain := in_vain + 1) == IN_VAIN:
            break
    return sorted(copies, key=lambda pair: pair[1])


def own_grain_shared(one: Frame, again: Frame, others: Iterable[Frame]) -> float:
    """Say what share of its grain that `others` do not have a frame (H, W, 3) shares with another one: 1 or less.

    The others are moved and turned onto it too: then a copy is still nearer than they are, and what merely lies alike
    is not. Where they cannot be, they lower nothing.
    """
    grey = _grey(one)
    shared, *usual = (_likeness(grey, _grey(frame, grey.shape)) for frame in (again, *others))
    common = float(np.mean(usual))
    return (shared - common) / max(1 - common, 1e-6)


def _grey(frame_bgr_u8: Frame, shape: tuple[int, ...] | None = None) -> Grey:
    """Make of a frame (H, W, 3) a grey one of that shape, or of SIDE at most; levels are not rounded."""
    grey = cv2.cvtColor(frame_bgr_u8, cv2.COLOR_BGR2GRAY).astype(np.float32)
    scale = min(1.0, SIDE / max(grey.shape))
    height, width = shape or (max(round(side * scale), 1) for side in grey.shape)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _likeness(grey: Grey, other: Grey) -> float:
    """Correlate the grain of two, the other one moved and turned onto the first."""
    motion, size = _motion(grey, other), grey.shape[::-1]
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = np.asarray(cv2.warpAffine(other, motion, size, flags=how, borderMode=cv2.BORDER_REPLICATE), np.float32)
    inside = cv2.warpAffine(np.ones_like(other), motion, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP) > 0
    first, second = _grain(grey)[inside], _grain(moved)[inside]
    both = np.sqrt(np.square(first).sum() * np.square(second).sum())
    return float((first * second).sum() / max(float(both), 1.0))  # less than one pixel has of usual grain is none


def _motion(grey: Grey, other: Grey) -> Grey:
    """Find how another one is moved and turned against the first, (2, 3); not at all where that cannot be told.

    At half the size: that takes a quarter of the time, and tells hundredths of a pixel too.
    """
    still = np.eye(2, 3, dtype=np.float32)
    try:
        half, moved = (cv2.resize(each, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for each in (grey, other))
        found = cv2.findTransformECC(half, moved, still.copy(), cv2.MOTION_EUCLIDEAN, _STEPS)[1]
    except cv2.error:  # they have nothing in common, show nothing, or are of a pixel
        return still
    whole = np.asarray(found, np.float32)
    whole[:, 2] = 2 * whole[:, 2] + 0.5 - whole[:, :2].sum(axis=1) / 2  # a pixel's middle, at both sizes
    return whole


def _grain(grey: Grey) -> Grey:
    """Give what is fine, by what is usual around it: else nothing but the edges that all have would count."""
    fine = cv2.GaussianBlur(grey, (0, 0), _FINE) - cv2.GaussianBlur(grey, (0, 0), _COARSE)
    usual = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), _AROUND))
    return np.asarray(fine / np.maximum(usual, _LEAST_LEVELS), np.float32)
