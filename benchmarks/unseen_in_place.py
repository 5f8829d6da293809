"""Generated parts and surfaces that fill the picture or lie in place, for the sets that no choice was made on."""

import cv2
import numpy as np
from numpy.typing import NDArray
from unseen_defects import Mask, Picture, Rng, as_u8
from unseen_parts import Filed, generated


def transistor(rng: Rng) -> Filed:
    """A component whose three legs stand in the holes of a board, always at one place."""
    side = 480

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        picture = np.full((side, side, 3), (70, 120, 160), np.uint8)
        for x in range(30, side, 60):
            for y in range(30, side, 60):
                cv2.circle(picture, (x, y), 13, (110, 175, 205), -1, cv2.LINE_AA)
                cv2.circle(picture, (x, y), 6, (25, 35, 45), -1, cv2.LINE_AA)
        picture = as_u8(picture + cv2.GaussianBlur(rng.normal(0, 14, (side, side)), (0, 0), 2)[:, :, None])
        area = np.zeros((side, side), np.uint8)
        top, left = rng.integers(-3, 4, 2).tolist()
        if kind == "misplaced":
            left += int(rng.choice([-60, 60]))
        if kind != "missing":
            wrong = int(rng.integers(3))
            for leg in range(3):
                is_wrong = leg == wrong
                knee, foot = (180 + 60 * leg + left // 2, 300), (180 + 60 * leg + left, 390)
                if is_wrong and kind == "bent leg":
                    foot = foot[0] + int(rng.choice([-34, 34])), foot[1] - 15
                if is_wrong and kind == "cut leg":
                    foot = foot[0], 325
                corners = np.array([(195 + 45 * leg + left, 220 + top), knee, foot])
                cv2.polylines(picture, [corners], False, (195, 200, 205), 12, cv2.LINE_AA)
            turned = 90 if kind == "turned" else rng.normal(0, 1)
            box = cv2.boxPoints(((240 + left, 170 + top), (170, 130), turned))
            cv2.fillPoly(area, [np.rint(box).astype(np.int32)], 255)
            picture[area > 0] = (38, 38, 40)
            cv2.putText(picture, "C548", (185 + left, 185 + top), cv2.FONT_HERSHEY_PLAIN, 2.6, (90, 92, 95), 2)
        return picture, area > 0

    own = ("bent leg", "cut leg", "misplaced", "turned", "missing")
    return generated(rng, part, 60, own, ("scratch", "crack", "stain", "dent"), turn=1)


def zipper(rng: Rng) -> Filed:
    """A closed zipper on woven tape, five times as high as wide."""
    height, width = 1000, 200
    down, across = np.mgrid[:height, :width]

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        cloth = 62 + 14 * np.sin(across * 1.3) * np.sin(down * 1.1 + across * 0.4)
        picture = as_u8(np.repeat((cloth + rng.normal(0, 5, cloth.shape))[:, :, None], 3, axis=2))
        phase, wrong = rng.uniform(0, 22), int(rng.integers(6, 38))
        for tooth in range(46):
            y = round(tooth * 22 + phase)
            lean, gap = int(rng.integers(-1, 2)), 0
            if kind == "split" and abs(tooth - wrong) < 4:
                gap = 12 - 3 * abs(tooth - wrong)
            if kind == "squeezed" and abs(tooth - wrong) < 3:
                y += 6 * int(np.sign(wrong - tooth))
            for way in (-1, 1):
                if kind == "lost tooth" and tooth == wrong and way < 0:
                    continue
                x, at = 100 + way * (14 + gap), y + (11 if way > 0 else 0)
                cv2.ellipse(picture, (x + lean, at), (20, 7), 0, 0, 360, (60, 66, 70), -1, cv2.LINE_AA)
                cv2.ellipse(picture, (x + lean, at - 1), (17, 4), 0, 0, 360, (150, 165, 175), -1, cv2.LINE_AA)
        return picture, (across > 15) & (across < 185)

    own = ("split", "squeezed", "lost tooth")
    return generated(rng, part, 60, own, ("hole", "foreign", "stain", "scratch"), turn=0.5)


def bottle(rng: Rng) -> Filed:
    """A bottle's mouth from above, as large as the picture; highlights of a ring light wander round it."""
    side = 500
    down, across = np.mgrid[:side, :side] - 249.5

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        off, angle = np.hypot(across, down), np.arctan2(down, across)
        if kind == "chip":
            where, size = rng.uniform(-np.pi, np.pi), rng.uniform(14, 26)
            off = off + 45 * (np.hypot(across - 205 * np.cos(where), down - 205 * np.sin(where)) < size)
        level = np.where(off < 235, 55.0, 215.0)
        level = np.where(off < 175, 22.0, level)
        level += np.where(off < 150, -10 + 12 * (off / 150) ** 4, 0)
        for middle, thick, light in ((228, 4, 120), (205, 9, 150), (180, 3, 110)):
            reach = sum(
                rng.uniform(0.3, 1) * np.exp(4 * (np.cos(angle - rng.uniform(-np.pi, np.pi)) - 1)) for _ in range(3)
            )
            level += light * np.exp(-(((off - middle) / thick) ** 2)) * reach
        picture = level[:, :, None] * np.array([0.75, 0.9, 1.0])
        if kind == "dirt":
            x, y = rng.uniform(-90, 90, 2)
            picture[np.hypot(across - x, down - y) < rng.uniform(6, 14)] = (70, 90, 100)
        return as_u8(picture + rng.normal(0, 2, picture.shape)), (off > 180) & (off < 230)

    return generated(rng, part, 60, ("chip", "dirt"), ("crack", "dots", "stain", "scratch", "foreign"), turn=2)


def wood(rng: Rng) -> Filed:
    """Boards with a strong grain along the picture, another on each."""
    side = 512

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        down, across = np.mgrid[:side, :side].astype(np.float32)
        wander = _streaks(rng, side, 400, 60) * 250
        rings = np.sin((across + wander) / rng.uniform(9, 14))
        if kind == "knot":
            x, y = rng.uniform(80, side - 80, 2)
            apart = np.hypot((across - x) * 1.4, down - y)
            rings = np.where(apart < 40, np.sin(apart / 3) - 1.2, rings)
        level = rings * 12 + _streaks(rng, side, 60, 2) * 70 + _streaks(rng, side, 200, 14) * 90
        return as_u8(np.array([95, 140, 180]) + level[:, :, None] * (0.9, 1, 1.05)), np.ones((side, side), bool)

    return generated(rng, part, 60, ("knot",), ("scratch", "hole", "stain", "crack", "foreign", "blur"), turn=1)


def label(rng: Rng) -> Filed:
    """A label that fills the picture: its text is fixed, lot and date are others on each part."""
    height, width = 420, 640

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        picture = np.full((height, width, 3), (228, 232, 235), np.uint8)
        cv2.rectangle(picture, (0, 0), (width, 90), (150, 90, 30), -1)
        lines = [
            ("PARACETAMOL", (30, 64), 1.7, 4, (240, 240, 240)),
            ("500 mg  20 tablets", (30, 150), 1.2, 2, (40, 40, 40)),
        ]
        lines += [
            ("Keep dry, below 25 C.", (30, 205), 0.8, 2, (60, 60, 60)),
            ("Read the leaflet.", (30, 240), 0.8, 2, (60, 60, 60)),
        ]
        if kind == "no line":
            lines.pop(rng.integers(1, 4))
        if kind == "wrong product":
            lines[1] = ("250 mg  20 tablets", *lines[1][1:])
        lot = (f"LOT {rng.integers(10000, 99999)}", (30, 320), 1.0, 2, (30, 30, 30))
        date = (f"EXP {rng.integers(1, 13):02}.20{rng.integers(27, 31)}", (30, 370), 1.0, 2, (30, 30, 30))
        for text, where, scale, thick, ink in [*lines, lot] + ([date] if kind != "no date" else []):
            cv2.putText(picture, text, where, cv2.FONT_HERSHEY_DUPLEX, scale, ink, thick, cv2.LINE_AA)
        bars = np.repeat(np.random.default_rng(7).integers(0, 2, 60), 4)[None, :, None] * np.uint8(200) + np.uint8(28)
        picture[290:380, 370:610] = bars
        if kind == "smeared":
            picture[295:375, 30:330] = cv2.GaussianBlur(picture[295:375, 30:330], (0, 0), sigmaX=14, sigmaY=1)
        return as_u8(picture + rng.normal(0, 3, picture.shape)), np.ones((height, width), bool)

    own = ("no line", "wrong product", "no date", "smeared")
    return generated(rng, part, 70, own, ("scratch", "stain", "hole", "crack"), turn=0.7)


def profiles(rng: Rng) -> Filed:
    """An extruded profile that runs off the picture at both ends; every other picture is cropped to another shape."""
    height, width = 480, 720

    def part(rng: Rng, _: bool, kind: str) -> tuple[Picture, Mask]:
        down, across = np.mgrid[:height, :width]
        picture = np.full((height, width, 3), 215.0)
        level = 120 + 35 * np.sin(down / 17) + _streaks(rng, width, 2, 60)[:height] * 90
        inside = np.abs(down - 240) < 105
        if kind == "bulge":
            inside = np.abs(down - 240) < 105 + 12 * np.exp(-(((across - rng.integers(150, 570)) / 30) ** 2))
        picture[inside] = level[inside, None]
        picture[np.abs(down - 240) < 22] = 45
        for x in range(60, width, 120):
            if not (kind == "no slot" and x == 300):
                cv2.rectangle(picture, (x, 170), (x + 40, 186), (40, 40, 40), -1)
        return as_u8(picture), inside

    drawn = generated(rng, part, 60, ("bulge", "no slot"), ("scratch", "dent", "crack", "stain", "missing"), turn=0.7)
    for number, (folder, picture) in enumerate(drawn):
        yield folder, picture if number % 2 else np.ascontiguousarray(picture[:, 60:660])


def _streaks(rng: Rng, side: int, along: float, across: float) -> NDArray[np.float32]:
    """Noise (side, side) of a spread of about a tenth, whose grains are `along` pixels high and `across` wide."""
    grains = rng.normal(0, 0.1, (round(side / along) + 2, round(side / across) + 2)).astype(np.float32)
    return np.asarray(cv2.resize(grains, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
