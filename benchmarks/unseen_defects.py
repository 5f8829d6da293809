"""Generated defects and the nuisance of a line, laid over pictures; sizes by the picture's short side, all seeded."""

from collections.abc import Callable
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]
Mask: TypeAlias = NDArray[np.bool_]
Rng: TypeAlias = np.random.Generator


def filmed(picture: Picture, rng: Rng, shift: float = 0.012, turn: float = 1.5) -> Picture:
    """Film a picture: moved by up to `shift` of its side and `turn` degrees, brightness, shadow, focus, dust, noise."""
    border = cv2.BORDER_REFLECT if turn < 90 else cv2.BORDER_REPLICATE
    height, width = picture.shape[:2]
    side = min(height, width)
    moved = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-turn, turn), rng.uniform(0.995, 1.005))
    moved[:, 2] += rng.uniform(-shift, shift, 2) * side
    seen = cv2.warpAffine(picture, moved, (width, height), flags=cv2.INTER_CUBIC, borderMode=border).astype(np.float32)
    for _ in range(rng.poisson(1.5)):
        centre = rng.uniform(0, [width, height]).astype(int).tolist()
        cv2.circle(
            seen,
            centre,
            int(rng.integers(1, 3)),
            (rng.uniform(0.7, 1.2) * seen.mean(axis=(0, 1))).tolist(),
            -1,
            cv2.LINE_AA,
        )
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle = rng.uniform(0, 2 * np.pi)
    shade = rng.normal(1, 0.05) + rng.uniform(0, 0.08) * (np.cos(angle) * across + np.sin(angle) * down)
    seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, 1.0)) * shade[:, :, None]
    return as_u8(seen + rng.normal(0, 2.0, seen.shape))


def as_u8(picture: NDArray[Any]) -> Picture:
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


def scratch(picture: Picture, area: Mask, rng: Rng) -> Picture:
    """A straight thin line, brighter or darker than the part."""
    return _line(picture, area, rng, bends=1, length=(0.15, 0.35), change=rng.choice([-50, 50]), thin=2)


def crack(picture: Picture, area: Mask, rng: Rng) -> Picture:
    """A dark jagged line, a pixel or two wide."""
    return _line(picture, area, rng, bends=7, length=(0.15, 0.35), change=-70, thin=1)


def hole(picture: Picture, area: Mask, rng: Rng) -> Picture:
    """A dark round hole."""
    mask = np.zeros(area.shape, np.float32)
    cv2.circle(mask, _place(area, rng), _size(area, rng, 0.015, 0.035), 1, -1, cv2.LINE_AA)
    return _blend(picture, 0.15 * picture, mask)


def dots(picture: Picture, area: Mask, rng: Rng) -> Picture:
    """Three to eight specks near each other, twice as large as dust or more."""
    mask = np.zeros(area.shape, np.float32)
    middle, reach = np.array(_place(area, rng)), 0.06 * min(area.shape)
    for _ in range(rng.integers(3, 9)):
        where = np.rint(middle + rng.uniform(-reach, reach, 2)).astype(int).tolist()
        cv2.circle(mask, where, _size(area, rng, 0.006, 0.012), 1, -1, cv2.LINE_AA)
    return _blend(picture, picture * 0.5 if rng.random() < 0.5 else picture * 0.5 + 110, mask)


def stain(picture: Picture, area: Mask, rng: Rng) -> Picture:
    """A soft blotch that tints what is below it."""
    tint = np.array([[0.55, 0.75, 0.95], [0.95, 0.8, 0.65], [0.7, 0.7, 0.7]])[rng.integers(3)]
    return _blend(picture, picture * tint, _blotch(area, rng, 0.05, 0.10))


def colour(picture: Picture, area: Mask, rng: Rng) -> Picture:
    """A region whose colours are shifted."""
    return _blend(picture, picture + rng.permutation([40.0, -25.0, 10.0]), _blotch(area, rng, 0.09, 0.16))


def blur(picture: Picture, area: Mask, rng: Rng) -> Picture:
    """A smeared region: its texture is gone."""
    smeared = cv2.GaussianBlur(picture, (0, 0), 0.02 * min(area.shape))
    return _blend(picture, smeared, _blotch(area, rng, 0.08, 0.14))


def dent(picture: Picture, area: Mask, rng: Rng) -> Picture:
    """A region pressed in: what it shows is warped, one flank brighter and one darker."""
    radius, (x, y) = _size(area, rng, 0.07, 0.12), _place(area, rng)
    down, across = np.mgrid[: area.shape[0], : area.shape[1]].astype(np.float32)
    fall = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * (radius / 1.5) ** 2))
    pull = 0.45 * fall
    warped = cv2.remap(
        picture, across + (across - x) * pull, down + (down - y) * pull, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    flank = (across - x + down - y) / radius * fall * 22
    return as_u8(warped + flank[:, :, None])


def missing(picture: Picture, area: Mask, rng: Rng) -> Picture:
    """A piece broken out of the part's edge: what is outside the part is seen there."""
    edge = cv2.morphologyEx(area.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    ground = np.median(picture[~area], axis=0) if (~area).any() else np.zeros(3)
    mask = np.zeros(area.shape, np.float32)
    box = cv2.boxPoints(
        (_place(edge, rng), (2 * _size(area, rng, 0.03, 0.05), 2 * _size(area, rng, 0.03, 0.05)), rng.uniform(0, 90))
    )
    cv2.fillPoly(mask, [np.rint(box).astype(np.int32)], 1, cv2.LINE_AA)
    return _blend(picture, np.broadcast_to(ground, picture.shape), mask)


def foreign(picture: Picture, area: Mask, rng: Rng) -> Picture:
    """A small body that does not belong there: an ellipse of another colour with a shadow."""
    mask, shadow = np.zeros(area.shape, np.float32), np.zeros(area.shape, np.float32)
    (x, y), axes, angle = (
        _place(area, rng),
        (_size(area, rng, 0.03, 0.05), _size(area, rng, 0.012, 0.02)),
        rng.uniform(0, 180),
    )
    cv2.ellipse(shadow, (x + 4, y + 4), axes, angle, 0, 360, 1, -1, cv2.LINE_AA)
    cv2.ellipse(mask, (x, y), axes, angle, 0, 360, 1, -1, cv2.LINE_AA)
    body = rng.uniform(30, 220, 3) + rng.normal(0, 8, picture.shape)
    return _blend(_blend(picture, 0.6 * picture, shadow), body, mask)


Defect: TypeAlias = Callable[[Picture, Mask, Rng], Picture]
DEFECTS: dict[str, Defect] = {
    kind.__name__: kind for kind in (scratch, crack, hole, dots, stain, colour, blur, dent, missing, foreign)
}


def _size(area: Mask, rng: Rng, least: float, most: float) -> int:
    return max(2, int(rng.uniform(least, most) * min(area.shape) + 0.5))


def _place(area: Mask, rng: Rng) -> tuple[int, int]:
    """A place (x, y) of the part, not at the picture's rim."""
    inner = area.copy()
    rim = round(0.06 * min(area.shape))
    inner[:rim], inner[-rim:], inner[:, :rim], inner[:, -rim:] = False, False, False, False
    rows, columns = np.nonzero(inner)
    chosen = rng.integers(len(rows))
    return int(columns[chosen]), int(rows[chosen])


def _blotch(area: Mask, rng: Rng, least: float, most: float) -> NDArray[np.float32]:
    """A soft region of the part with an uneven rim, 0 to 1."""
    (x, y), radius = _place(area, rng), _size(area, rng, least, most)
    down, across = np.mgrid[: area.shape[0], : area.shape[1]]
    uneven = cv2.GaussianBlur(rng.normal(0, 1, area.shape).astype(np.float32), (0, 0), radius / 2) * radius * 0.7
    inside = np.clip((1 + uneven - np.hypot(across - x, down - y) / radius) * 4, 0, 1)
    return np.asarray(inside * area, np.float32)


def _line(
    picture: Picture, area: Mask, rng: Rng, bends: int, length: tuple[float, float], change: float, thin: int
) -> Picture:
    reach, angle = _size(area, rng, *length), rng.uniform(0, 2 * np.pi)
    points = [np.array(_place(area, rng), float)]
    for _ in range(bends):
        angle += rng.normal(0, 0.6) if bends > 1 else 0
        points.append(points[-1] + reach / bends * np.array([np.cos(angle), np.sin(angle)]))
    mask = np.zeros(area.shape, np.float32)
    thickness = max(1, round(thin * min(area.shape) / 500))
    cv2.polylines(mask, [np.rint(points).astype(np.int32)], False, 1, thickness, cv2.LINE_AA)
    return _blend(picture, picture.astype(np.float32) + change, mask * area)


def _blend(picture: Picture, other: NDArray[Any], mask: NDArray[np.floating]) -> Picture:
    return as_u8(picture * (1 - mask[:, :, None]) + other * mask[:, :, None])
