"""Upright: how a part lies whose outline does not say it, told by what is on it, ring by ring.

A print, cores, holes or teeth are compared with those of a part that lies as it should: a round part is turned by the
angle at which the colours of all rings around the middle are most alike (circular cross-correlation, by Fourier
transform); a long one, whose axis is known, is laid the other way round where that is clearly more alike.
"""

import base64
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.pictures.geometry import ANGLES, RINGS

Colours = NDArray[np.float32]
"""Of rings around a part's middle, (ANGLES, RINGS, 4): blue, green, red, and how far they are from the ring's mean, by
which a print is alike in any dark ink. Each ring's own means, which say nothing of an angle, are gone."""
CLEARLY = 0.25
"""Of a likeness: what is less is by chance."""
SIDE = 4 * RINGS
"""Pixels across of the reduced picture in which rings are looked at: two a ring."""


def rings_of(square_bgr_u8: NDArray[np.uint8], covered: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Colours (ANGLES, RINGS, 3) around the middle of a square cut-out (S, S, 3), out to its sides.

    `covered`: how much of the square's length and breadth a long part in its middle covers, 0 to 1; what lies beside
    it is then of one colour.
    """
    shrunk = len(square_bgr_u8) > SIDE
    small = cv2.resize(square_bgr_u8, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrunk else cv2.INTER_LINEAR)
    if covered is not None:
        # Light on the background says nothing of the part, and its edge falls on one pixel or the next by chance.
        across = np.abs(np.arange(SIDE) - (SIDE - 1) / 2)
        length, breadth = (min(share, 1.0) * SIDE / 2 - 1 for share in covered)
        is_beside = (across[None, :] > length) | (across[:, None] > breadth)
        small[is_beside] = np.median(small[is_beside], axis=0)
    centre = ((SIDE - 1) / 2, (SIDE - 1) / 2)
    rings = cv2.warpPolar(cv2.GaussianBlur(small, (0, 0), 1), (RINGS, ANGLES), centre, SIDE / 2, cv2.WARP_POLAR_LINEAR)
    return np.asarray(rings, np.uint8)


def colours_of(rings_bgr_u8: NDArray[np.uint8]) -> Colours:
    """What of rings (ANGLES, RINGS, 3) tells an angle, of unit length; an outer ring counts for its circumference."""
    colours = rings_bgr_u8.astype(np.float32)
    colours -= colours.mean(axis=0, keepdims=True)
    contrast = np.linalg.norm(colours, axis=2, keepdims=True)
    colours = np.concatenate([colours, contrast - contrast.mean(axis=0, keepdims=True)], axis=2)
    colours *= np.sqrt(np.arange(RINGS, dtype=np.float32) + 0.5)[:, None]
    return np.asarray(colours / max(float(np.linalg.norm(colours)), 1e-6), np.float32)


def likeness(colours: Colours, upright: Colours) -> NDArray[np.float32]:
    """How alike two parts' colours are, -1 to 1, with the first turned back by each of ANGLES angles, (ANGLES,)."""
    spectrum = np.fft.rfft(colours, axis=0) * np.conj(np.fft.rfft(upright, axis=0))
    return np.asarray(np.fft.irfft(spectrum.sum(axis=(1, 2)), n=ANGLES), np.float32)


def best_angle(alike: NDArray[np.float32]) -> float:
    """Give the angle in radians, -pi to pi, at which `alike` (ANGLES,) is largest, between two steps by a parabola."""
    best = int(np.argmax(alike))
    before, here, after = (float(alike[(best + step) % ANGLES]) for step in (-1, 0, 1))
    curvature = before - 2 * here + after
    step = best + (0.5 * (before - after) / curvature if curvature < 0 else 0.0)
    return float((2 * np.pi * step / ANGLES + np.pi) % (2 * np.pi) - np.pi)


def one_sided(colours: Colours) -> Colours:
    """What of the colours differs from one side of the middle to the other, of unit length: it tells two ends apart."""
    differs = colours - np.roll(colours, ANGLES // 2, axis=0)
    return np.asarray(differs / max(float(np.linalg.norm(differs)), 1e-6), np.float32)


def turned_by(rings_bgr_u8: NDArray[np.uint8], upright: str) -> float:
    """By how many radians, clockwise as it is seen, a part is turned against the `upright` one."""
    return best_angle(likeness(colours_of(rings_bgr_u8), _decoded(upright)))


def lies_other_way(rings_bgr_u8: NDArray[np.uint8], upright: str, outline_tells: bool) -> bool:
    """Whether a long part, seen along its axis, is alike the `upright` one the other way round.

    Clearly so, where its outline tells which end is which. Of a part with nothing on it that is never clear.
    """
    seen = one_sided(colours_of(rings_bgr_u8))
    return bool(is_other_way((seen * one_sided(_decoded(upright))).sum(), outline_tells))


def is_other_way(likeness: ArrayLike, outline_tells: ArrayLike) -> NDArray[np.bool_]:
    """Whether long parts of such one-sided likeness to the upright one lie the other way round than they are seen."""
    return np.asarray(likeness) < np.where(outline_tells, -CLEARLY, 0.0)


def encoded(rings_bgr_u8: NDArray[np.uint8]) -> str:
    """Write rings (ANGLES, RINGS, 3) as text, for a configuration and a bundle."""
    return base64.b64encode(rings_bgr_u8.tobytes()).decode()


@lru_cache(maxsize=16)
def _decoded(upright: str) -> Colours:
    rings = np.frombuffer(base64.b64decode(upright), np.uint8)
    return colours_of(rings.reshape(ANGLES, RINGS, 3))
