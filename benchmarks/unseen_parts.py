"""Generated parts and textures for the sets that no choice was made on (unseen_sets.py), all seeded."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from unseen_defects import DEFECTS, Mask, Picture, Rng, as_u8, filmed

from core.pictures.picture import read_picture

Filed: TypeAlias = Iterator[tuple[str, Picture]]
"""A folder in MVTec layout, and a picture that lies there."""
Part: TypeAlias = Callable[[Rng, bool, str], tuple[Picture, Mask]]
"""Draws a part, for the test or not, with a defect of its own kind ("": none), and says where it lies."""


def generated(rng: Rng, part: Part, train: int, own: Sequence[str], common: Sequence[str], turn: float = 1.5) -> Filed:
    """Draw `train` good parts, 25 to test, and 50 defective ones: of its `own` kinds, and of those `common` to all."""
    for folder, count in (("train/good", train), ("test/good", 25)):
        for _ in range(count):
            yield folder, filmed(part(rng, folder == "test/good", "")[0], rng, turn=turn)
    kinds = [*own, *common]
    for number in range(50):
        kind = kinds[number % len(kinds)]
        picture, area = part(rng, True, kind if kind in own else "")
        yield f"test/{kind}", filmed(picture if kind in own else DEFECTS[kind](picture, area, rng), rng, turn=turn)


def texture(name: str, rng: Rng) -> Filed:
    """Crops of a photographed texture: to train from its upper two thirds, to test from the lower one."""
    whole = photograph(name)
    side, border = 168, 340

    def part(rng: Rng, is_test: bool, _: str) -> tuple[Picture, Mask]:
        top = rng.integers(border, 512 - side) if is_test else rng.integers(0, border - side)
        left = rng.integers(0, 512 - side)
        crop = whole[top : top + side, left : left + side]
        return as_u8(cv2.resize(crop, (504, 504), interpolation=cv2.INTER_CUBIC)), np.ones((504, 504), bool)

    return generated(rng, part, 40, (), ("scratch", "crack", "hole", "dots", "stain", "blur", "foreign"))


def weave(rng: Rng) -> Filed:
    """Woven wire, its threads a little uneven."""
    side, period = 512, 18

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        down, across = np.mgrid[:side, :side].astype(np.float32)
        wander = [
            cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), 25) * 30 for _ in range(2)
        ]
        u, v = (across + wander[0]) / period + rng.uniform(0, 2), (down + wander[1]) / period + rng.uniform(0, 2)
        warp, weft = (1 - np.abs((axis % 1) - 0.5) * 3.2 for axis in (u, v))
        warp_above = (np.floor(u) + np.floor(v)) % 2 == 0
        if kind == "broken wire":
            row, start = rng.integers(6, 22), rng.integers(2, 20)
            weft[
                (np.floor(v) == np.floor(v.min()) + row) & (np.abs(np.floor(u - u.min()) - start) < rng.integers(2, 6))
            ] = 0
        if kind == "skipped":
            x, y = rng.uniform(60, side - 60, 2)
            warp_above |= np.hypot(across - x, down - y) < rng.uniform(18, 30)
        top, below = np.where(warp_above, warp, weft), np.where(warp_above, weft, warp)
        level = np.where(top > 0, 90 + 90 * top, np.where(below > 0, 60 + 60 * below, 25))
        return as_u8(np.repeat((level + rng.normal(0, 5, level.shape))[:, :, None], 3, axis=2)), np.ones(
            (side, side), bool
        )

    return generated(rng, part, 40, ("broken wire", "skipped"), ("scratch", "stain", "dent", "foreign", "hole"))


def caps(rng: Rng) -> Filed:
    """Bottle caps at any angle, of two designs: a knurled rim, a print in red or in blue."""
    side, middle, radius = 520, 260, 195

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        picture = np.full((side, side, 3), 35, np.uint8)
        cv2.circle(picture, (middle, middle), radius, (168, 172, 176), -1, cv2.LINE_AA)
        broken = rng.integers(60) if kind == "rim" else -1
        for tooth in range(60):
            if not 0 <= (tooth - broken) % 60 < 3 or broken < 0:
                angle = 2 * np.pi * tooth / 60
                ends = [
                    np.rint(middle + reach * np.array([np.cos(angle), np.sin(angle)])).astype(int).tolist()
                    for reach in (radius - 16, radius + 6)
                ]
                cv2.line(picture, ends[0], ends[1], (110, 112, 115), 6, cv2.LINE_AA)
        cv2.circle(picture, (middle, middle), radius - 40, (150, 153, 158), 3, cv2.LINE_AA)
        ink = (60, 50, 190) if rng.random() < 0.6 else (180, 90, 40)
        text = "PWE" if kind == "print" else "PWA"
        cv2.putText(picture, text, (middle - 88, middle + 28), cv2.FONT_HERSHEY_DUPLEX, 2.7, ink, 7, cv2.LINE_AA)
        brushed = cv2.GaussianBlur(rng.normal(0, 60, (side, side)).astype(np.float32), (0, 0), sigmaX=9, sigmaY=0.8)
        down, across = np.mgrid[:side, :side]
        area = np.hypot(across - middle, down - middle) < radius - 4
        return as_u8(picture + (brushed * area)[:, :, None]), area

    return generated(rng, part, 40, ("rim", "print"), ("scratch", "dent", "stain", "dots", "missing"), turn=180)


def cable(rng: Rng) -> Filed:
    """A cable's cross-section at any angle: three cores of strands in a sheath."""
    side, middle = 460, 230
    colours = ((60, 110, 60), (150, 90, 40), (70, 80, 150))

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        picture = np.full((side, side, 3), 20, np.uint8)
        cv2.circle(picture, (middle, middle), 190, (125, 122, 120), -1, cv2.LINE_AA)
        worn = [*colours]
        if kind == "wrong colour":
            worn[0] = worn[1]
        for core, insulation in enumerate(worn):
            angle = 2 * np.pi * core / 3 + rng.normal(0, 0.03)
            centre = middle + 95 * np.array([np.cos(angle), np.sin(angle)]) + rng.normal(0, 2, 2)
            at = np.rint(centre).astype(int).tolist()
            cv2.circle(
                picture, at, 76, insulation if not (kind == "no core" and core == 0) else (60, 60, 60), -1, cv2.LINE_AA
            )
            if kind == "no core" and core == 0:
                continue
            cv2.circle(picture, at, 52, (40, 70, 95), -1, cv2.LINE_AA)
            rings = [(0, 1), (16, 6), (32, 12), (46, 18)]
            strands = [(r, 2 * np.pi * n / count + rng.normal(0, 0.05)) for r, count in rings for n in range(count)]
            lost = rng.integers(len(strands) - 5) if kind == "lost strands" and core == 1 else len(strands)
            for number, (reach, turn) in enumerate(strands):
                if not lost <= number < lost + 5:
                    where = np.rint(centre + reach * np.array([np.cos(turn), np.sin(turn)])).astype(int).tolist()
                    cv2.circle(
                        picture,
                        where,
                        7,
                        (90 + rng.normal(0, 12), 150 + rng.normal(0, 15), 205 + rng.normal(0, 15)),
                        -1,
                        cv2.LINE_AA,
                    )
        area = picture.max(axis=2) > 40
        return as_u8(picture + rng.normal(0, 4, picture.shape)), area

    return generated(
        rng, part, 40, ("wrong colour", "no core", "lost strands"), ("crack", "foreign", "dent", "stain"), turn=180
    )


def strip(rng: Rng) -> Filed:
    """A terminal strip, long, with twelve pins and a lot number that is another on each; one in twenty is oily."""
    height, width = 150, 1240

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        picture = np.full((height, width, 3), (60, 58, 55), np.uint8)
        cv2.rectangle(picture, (20, 25), (1220, 125), (150, 175, 190), -1)
        wrong = rng.integers(12)
        for pin in range(12):
            left, bottom, lean = 60 + 96 * pin, 105, 0
            if pin == wrong and kind == "no pin":
                continue
            bottom -= 22 if pin == wrong and kind == "short pin" else 0
            lean = int(rng.choice([-14, 14]) if pin == wrong and kind == "bent pin" else rng.integers(-1, 2))
            corners = np.array([[left, 45], [left + 26, 45], [left + 26 + lean, bottom], [left + lean, bottom]])
            cv2.fillPoly(picture, [corners], (205, 205, 200), cv2.LINE_AA)
            cv2.polylines(picture, [corners], True, (90, 90, 88), 2, cv2.LINE_AA)
        cv2.putText(
            picture,
            f"LOT {rng.integers(10000, 99999)}",
            (1000, 42),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.6,
            (70, 60, 60),
            2,
            cv2.LINE_AA,
        )
        if rng.random() < 0.05:
            picture = as_u8(picture * (0.8, 0.9, 0.95))
        area = np.zeros((height, width), bool)
        area[28:122, 24:1216] = True
        return as_u8(picture + rng.normal(0, 4, picture.shape)), area

    return generated(
        rng, part, 60, ("no pin", "bent pin", "short pin"), ("crack", "foreign", "dots", "stain"), turn=0.5
    )


def brackets(rng: Rng) -> Filed:
    """Brackets at any angle and place on a grey belt, of two designs, with a shadow; one in twenty is oily."""
    belt = cv2.resize(photograph("gravel"), (900, 900)).astype(np.float32) * 0.06 + 165

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        metal, mask = np.full((480, 640, 3), 95, np.float32), np.zeros((480, 640), np.uint8)
        cv2.fillPoly(mask, [np.array([[150, 150], [490, 150], [490, 230], [250, 230], [250, 330], [150, 330]])], 255)
        holes = [(200, 190), (440, 190), (200, 290), *([(330, 190)] if rng.random() < 0.4 else [])]
        if kind == "hole missing":
            holes.pop(rng.integers(3))
        for centre in holes + ([(270 + int(rng.integers(100)), 205)] if kind == "hole too many" else []):
            cv2.circle(mask, centre, 17, 0, -1)
        metal += cv2.GaussianBlur(rng.normal(0, 60, (480, 640)).astype(np.float32), (0, 0), sigmaX=8, sigmaY=0.8)[
            :, :, None
        ]
        metal *= 0.75 if rng.random() < 0.05 else 1
        moved = np.asarray(cv2.getRotationMatrix2D((300, 225), rng.uniform(0, 360), 1), float)
        moved[:, 2] += rng.uniform([-40, -45], [80, 75])
        inside = cv2.GaussianBlur(cv2.warpAffine(mask, moved, (640, 480)).astype(np.float32) / 255, (0, 0), 0.8)
        shadow = 1 - 0.15 * cv2.GaussianBlur(np.roll(inside, (6, 9), (0, 1)), (0, 0), 4)
        top, left = rng.integers(0, [420, 260])
        ground = belt[top : top + 480, left : left + 640] * shadow[:, :, None]
        seen = cv2.warpAffine(metal, moved, (640, 480)) * inside[:, :, None] + ground * (1 - inside[:, :, None])
        return as_u8(seen), inside > 0.9

    return generated(rng, part, 60, ("hole missing", "hole too many"), ("scratch", "stain", "missing", "dots", "dent"))


@cache
def photograph(name: str) -> Picture:
    """A photograph (512, 512, 3) that scikit-image carries."""
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise SystemExit("two of the textures are those of scikit-image; pip install scikit-image.")
    return read_picture(Path(package.origin).parent / "data" / f"{name}.png")
