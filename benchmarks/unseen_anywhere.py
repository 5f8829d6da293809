"""Generated parts that lie anywhere and at any angle, for the sets that no choice was made on (unseen_sets.py)."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from unseen_defects import Mask, Picture, Rng, as_u8
from unseen_parts import Filed, generated


def pills(rng: Rng) -> Filed:
    """Small oblong speckled tablets with an imprint, one a picture, anywhere on black."""

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        face, mask = np.full((60, 130, 3), (196, 212, 222), np.uint8), np.zeros((60, 130), np.uint8)
        cv2.line(mask, (30, 30), (100, 30), 255, 48, cv2.LINE_AA)
        for _speck in range(rng.poisson(14)):
            spot = rng.integers([8, 8], [122, 52]).tolist()
            cv2.circle(face, spot, int(rng.integers(1, 3)), (90, 100, 200), -1, cv2.LINE_AA)
        if kind != "no imprint":
            text = "FF" if kind != "wrong imprint" else "EF"
            cv2.putText(face, text, (44, 41), cv2.FONT_HERSHEY_DUPLEX, 1.0, (140, 155, 168), 2, cv2.LINE_AA)
        if kind == "chip":
            cv2.circle(mask, (int(rng.integers(15, 115)), int(rng.choice([6, 54]))), int(rng.integers(8, 13)), 0, -1)
        domed = 0.75 + 0.25 * np.clip(cv2.distanceTransform((mask > 0).astype(np.uint8), cv2.DIST_L2, 3) / 18, 0, 1)
        return _laid(face * domed[:, :, None], mask, _ground(rng, (480, 640), 12, 2), rng, (210, 150))

    own = ("no imprint", "wrong imprint", "chip")
    return generated(rng, part, 60, own, ("scratch", "crack", "dots", "stain", "colour"), turn=0)


def nuts(rng: Rng) -> Filed:
    """Hexagon nuts at any angle on a light belt: turned by sixty degrees they look alike."""
    side, radius = 300, 125
    down, across = np.mgrid[:side, :side] - 149.5

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        turns = np.arange(6) * np.pi / 3
        corners = 149.5 + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        if kind == "worn corner":
            corners[0] = 149.5 + 0.88 * (corners[0] - 149.5)
        mask = np.zeros((side, side), np.uint8)
        cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 255, cv2.LINE_AA)
        if kind == "burr":
            middle = np.rint((corners[0] + corners[1]) / 2).astype(int).tolist()
            cv2.circle(mask, middle, int(rng.integers(9, 14)), 255, -1, cv2.LINE_AA)
        brushed = cv2.GaussianBlur(rng.normal(0, 90, (side, side)).astype(np.float32), (0, 0), sigmaX=12, sigmaY=0.8)
        metal = np.repeat((140 + brushed)[:, :, None], 3, axis=2)
        off = np.hypot(across, down)
        metal[(off > 100) & (off < 104)] *= 0.7
        x, y = rng.uniform(-1, 1, 2) * (14 if kind == "hole off" else 1)
        thread = np.hypot(across - x, down - y)
        metal[thread < 64] = 100 + 40 * np.cos(thread[thread < 64] * 1.1)[:, None]
        cv2.circle(mask, (round(149.5 + x), round(149.5 + y)), 54 if kind != "no thread" else 62, 0, -1, cv2.LINE_AA)
        return _laid(metal, mask, _ground(rng, (480, 480), 205, 4), rng, (70, 70))

    own = ("worn corner", "burr", "hole off", "no thread")
    return generated(rng, part, 60, own, ("scratch", "crack", "stain", "dent"), turn=0)


def hazelnuts(rng: Rng) -> Filed:
    """Nuts as they grow: outline, size, colour and stripes are another on each; at any angle on dark cloth."""
    side = 360
    down, across = np.mgrid[:side, :side] - 179.5
    angle, off = np.arctan2(down, across), np.hypot(across, down)

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        reach = rng.uniform(105, 128) * (1 + rng.uniform(0.02, 0.1) * np.cos(angle) ** 2)
        for wave in range(2, 6):
            reach *= 1 + rng.normal(0, 0.02) * np.cos(wave * angle + rng.uniform(0, 6))
        reach *= 1 + 0.12 * np.exp(-((angle / 0.3) ** 2))
        colour = np.array([55, 95, 150]) * rng.uniform(0.8, 1.15) + rng.normal(0, 6, 3)
        tip = np.arctan2(down, across - 110)
        stripes = cv2.GaussianBlur(rng.normal(0, 1, (1, 400)).astype(np.float32), (0, 0), 3).ravel() * 60
        shell = colour + stripes[((tip + np.pi) / (2 * np.pi) * 399).astype(int)][:, :, None] * (0.8, 0.9, 1)
        shell[across < -70 + 12 * np.sin(down / 15)] = rng.normal((110, 150, 180), 6)
        if kind == "cut":
            x, y = rng.uniform(-60, 60, 2)
            turn = rng.uniform(0, np.pi)
            along, beside = (
                (across - x) * np.cos(turn) + (down - y) * np.sin(turn),
                (down - y) * np.cos(turn) - (across - x) * np.sin(turn),
            )
            shell[(np.abs(along) < 42) & (np.abs(beside) < 7)] = (150, 195, 215)
        shell = as_u8(shell)
        if kind == "print":
            where = rng.integers([90, 150], [180, 240]).tolist()
            cv2.putText(shell, "K7", where, cv2.FONT_HERSHEY_SIMPLEX, 1.5, (200, 205, 210), 4, cv2.LINE_AA)
        domed = np.clip(1.15 - 0.5 * (off / reach) ** 3, 0.2, 1.2)
        mask = np.asarray((off < reach) * 255, np.uint8)
        return _laid(shell * domed[:, :, None], mask, _ground(rng, (520, 520), 30, 5), rng, (30, 30))

    return generated(rng, part, 70, ("cut", "print"), ("hole", "crack", "scratch", "stain"), turn=0)


def gaskets(rng: Rng) -> Filed:
    """Black rubber on a nearly black ground, at any angle; the lamp loses three tenths over the training pictures."""

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        mask = np.zeros((190, 320), np.uint8)
        cv2.line(mask, (90, 95), (240, 95), 255, 150, cv2.LINE_AA)
        cv2.circle(mask, (105, 95), 44 if kind != "small bore" else 36, 0, -1, cv2.LINE_AA)
        for x in (195, 255):
            if not (kind == "no hole" and x == 255):
                cv2.circle(mask, (x, 95), 14, 0, -1, cv2.LINE_AA)
        rim = cv2.GaussianBlur(mask, (0, 0), 6).astype(np.float32) - 200
        rubber = 46 - 0.09 * np.abs(rim) + cv2.GaussianBlur(rng.normal(0, 8, mask.shape), (0, 0), 1.5)
        if kind == "notch":
            cv2.circle(mask, (int(rng.integers(80, 250)), int(rng.choice([18, 172]))), 12, 0, -1, cv2.LINE_AA)
        return _laid(np.repeat(rubber[:, :, None], 3, axis=2), mask, _ground(rng, (480, 480), 20, 1.5), rng, (50, 50))

    drawn = generated(
        rng, part, 60, ("small bore", "no hole", "notch"), ("scratch", "missing", "dots", "foreign"), turn=0
    )
    return _ageing(drawn, rng, 60)


def glasses(rng: Rng) -> Filed:
    """Watch glasses seen by what they reflect, in the middle; grey values of 12 bits, of a camera that keeps 16."""
    side, radius = 480, 200
    down, across = np.mgrid[:side, :side] - 239.5
    off = np.hypot(across, down)

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        level = _ground(rng, (side, side), 48, 2)[:, :, 0]
        level = level + 10 * (off < radius) + 70 * np.exp(-(((off - radius) / 4) ** 2))
        for _window in range(rng.integers(2, 5)):
            x, y = rng.uniform(-110, 110, 2)
            turn, long, thick = rng.uniform(0, np.pi), rng.uniform(40, 90), rng.uniform(6, 20)
            u, v = (
                (across - x) * np.cos(turn) + (down - y) * np.sin(turn),
                (down - y) * np.cos(turn) - (across - x) * np.sin(turn),
            )
            level += rng.uniform(25, 90) * np.exp(-((u / long) ** 4) - ((v / thick) ** 4)) * (off < radius - 6)
        if kind == "chip":
            turn = rng.uniform(0, 2 * np.pi)
            apart = np.hypot(across - radius * np.cos(turn), down - radius * np.sin(turn))
            level = np.where(apart < rng.uniform(8, 16), 48, level)
        return as_u8(np.repeat(level[:, :, None], 3, axis=2)), off < radius - 8

    for folder, picture in generated(rng, part, 60, ("chip",), ("scratch", "crack", "dots", "stain", "hole"), turn=1):
        fine = cv2.GaussianBlur(picture[:, :, 0].astype(np.float32), (0, 0), 0.5) * 16
        yield folder, np.clip(fine + rng.normal(0, 4, fine.shape), 0, 4095).astype(np.uint16)


def _ageing(drawn: Filed, rng: Rng, train: int) -> Iterator[tuple[str, Picture]]:
    for number, (folder, picture) in enumerate(drawn):
        light = 1 - 0.3 * (number / train if folder == "train/good" else rng.random())
        yield folder, as_u8(picture * light)


def _ground(rng: Rng, shape: tuple[int, int], level: float, grain: float) -> NDArray[np.float64]:
    grains = cv2.GaussianBlur(rng.normal(0, 2 * grain, shape), (0, 0), 1.2)
    return np.repeat((level + grains)[:, :, None], 3, axis=2)


def _laid(
    face: NDArray[Any], mask: Picture, ground: NDArray[np.float64], rng: Rng, reach: tuple[float, float]
) -> tuple[Picture, Mask]:
    """Lay a part (h, w, 3) with its mask (h, w) on the ground, at any angle, up to `reach` pixels off the middle."""
    middle = (mask.shape[1] - 1) / 2, (mask.shape[0] - 1) / 2
    size = ground.shape[1], ground.shape[0]
    moved = np.asarray(cv2.getRotationMatrix2D(middle, rng.uniform(0, 360), 1), float)
    moved[:, 2] += np.array(size) / 2 - middle + rng.uniform(-1, 1, 2) * reach
    inside = cv2.warpAffine(cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 0.7), moved, size)
    seen = cv2.warpAffine(face.astype(np.float32), moved, size, borderMode=cv2.BORDER_REPLICATE)
    return as_u8(seen * inside[:, :, None] + ground * (1 - inside[:, :, None])), inside > 0.9
