"""Sets of pictures that no choice was made on: real ones laid out anew, and generated parts and textures, all seeded.

Each set is a function that yields pictures with the folders they lie in. Real defects are those of the sets in `mvtec`
(cookie, screw) and of elpv-dataset; all others are generated, as are the nuisances (unseen_defects.py).
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from unseen_anywhere import gaskets, glasses, hazelnuts, nuts, pills
from unseen_defects import DEFECTS, Mask, Picture, Rng, as_u8, filmed
from unseen_in_place import bottle, label, profiles, transistor, wood, zipper
from unseen_parts import Filed, brackets, cable, caps, photograph, strip, texture, weave

from core.datasets.dataset import labelled_samples, training_samples
from core.datasets.layout import GOOD
from core.pictures.geometry import Pose
from core.pictures.picture import read_picture
from core.pictures.pose import cut_out, locate, outline


def cells(kinds: Sequence[str], train: int, rng: Rng) -> Filed:
    """Solar cells with their real defects: `train` good ones of each kind, mixed in one folder."""
    for kind in kinds:
        tested = labelled_samples(f"elpv:{kind}")
        good = [sample for sample in tested if sample.kind == GOOD]
        bad = [sample for sample in tested if sample.kind != GOOD]
        drawn = (
            ("train/good", training_samples(f"elpv:{kind}"), train),
            ("test/good", good, 30),
            ("test/bad", bad, 30),
        )
        for folder, samples, count in drawn:
            for index in rng.permutation(len(samples))[:count]:
                yield folder, read_picture(samples[index].path)


def tray(rng: Rng, mvtec: Path) -> Filed:
    """Four cookies a picture, turned and moved a little; of the defective one is really broken."""
    good, good_tested, broken = _cookies(mvtec)

    def four(cookies: Sequence[Picture], bad: Picture | None = None) -> Picture:
        chosen = [cookies[index] for index in rng.permutation(len(cookies))[:4]]
        if bad is not None:
            chosen[rng.integers(4)] = bad
        picture = np.full((620, 620, 3), 55, np.uint8)
        for number, cookie in enumerate(chosen):
            moved = np.asarray(cv2.getRotationMatrix2D((288, 288), rng.uniform(-12, 12), 0.5), float)
            moved[:, 2] += np.array([number % 2, number // 2]) * 310 - 288 + 155 + rng.uniform(-10, 10, 2)
            picture = np.maximum(picture, cv2.warpAffine(cookie, moved, (620, 620)))
        return picture

    yield from (("train/good", filmed(four(good), rng)) for _ in range(30))
    yield from (("test/good", filmed(four(good_tested), rng)) for _ in range(25))
    yield from (("test/broken", filmed(four(good_tested, bad), rng)) for bad in broken)


def turned(rng: Rng, mvtec: Path) -> Filed:
    """A cookie at any angle, the camera close."""
    for folder, cookies in zip(("train/good", "test/good", "test/broken"), _cookies(mvtec), strict=True):
        for cookie in cookies:
            yield folder, filmed(cookie, rng, turn=180)[78:498, 78:498]


def screws(rng: Rng, mvtec: Path) -> Filed:
    """Screws at any angle on a belt with a texture."""
    belt = cv2.resize(photograph("grass"), (1024, 1024)).astype(np.float32) * 0.25 + 150
    tested = labelled_samples(str(mvtec / "screw"))
    good = [sample for sample in tested if sample.kind == GOOD]
    bad = [sample for sample in tested if sample.kind != GOOD]
    for folder, samples, count in (
        ("train/good", training_samples(str(mvtec / "screw")), 60),
        ("", good, 41),
        ("", bad, 60),
    ):
        for index in rng.permutation(len(samples))[:count]:
            screw = read_picture(samples[index].path)
            top, left = rng.integers(0, 512, 2)
            ground = belt[top : top + 512, left : left + 512] * (np.median(screw) / 185)
            inside = cv2.GaussianBlur(_inside(screw).astype(np.float32), (0, 0), 1.2)[:, :, None]
            yield folder or f"test/{samples[index].kind}", as_u8(screw * inside + ground * (1 - inside))


def board(rng: Rng, mvtec: Path) -> Filed:
    """The middle of a real circuit board, cut out by its outline; the defects are generated."""
    size = (520, 240)
    straight = []
    for folder in ("train/good", "test/good"):
        whole = [read_picture(path) for path in sorted((mvtec / "circuitboard" / folder).iterdir())]
        straight.append([cut_out(picture, locate(picture, Pose(size)), size)[20:220, 130:400] for picture in whole])
    train, tested = straight
    yield from (("train/good", filmed(picture, rng, 0.02, 2)) for picture in train)
    yield from (("test/good", filmed(picture, rng, 0.02, 2)) for picture in tested)
    for number in range(60):
        picture, kinds = (
            tested[number % len(tested)].copy(),
            ("no component", "turned", "scratch", "stain", "foreign", "dots"),
        )
        kind, (top, left) = kinds[number % len(kinds)], rng.integers(20, [130, 200])
        place = picture[top : top + 42, left : left + 42]
        if kind == "no component":
            place[:] = np.median(place, axis=(0, 1)) * 0.5 + np.array([110, 50, 15]) * 0.5
        elif kind == "turned":
            place[:] = place[::-1, ::-1].copy()
        else:
            picture = DEFECTS[kind](picture, np.ones(picture.shape[:2], bool), rng)
        yield f"test/{kind}", filmed(picture, rng, 0.02, 2)


Set: TypeAlias = Callable[[Rng, Path], Filed]


def many(once: Set, times: int) -> Set:
    """So many times as many good parts to train; tested is what the set tests."""

    def laid_out(rng: Rng, mvtec: Path) -> Filed:
        for number in range(times):
            for folder, picture in once(rng, mvtec):
                if number > 0 and folder != "train/good":
                    break
                yield folder, picture

    return laid_out


SETS: dict[str, Set] = {
    "brick": lambda rng, _: texture("brick", rng),
    "gravel": lambda rng, _: texture("gravel", rng),
    "weave": lambda rng, _: weave(rng),
    "thirty cells": lambda rng, _: cells(["mono"], 30, rng),
    "cells of two kinds": lambda rng, _: cells(["mono", "poly"], 40, rng),
    "tray of cookies": tray,
    "turned cookies": turned,
    "screws on a belt": screws,
    "middle of a board": board,
    "caps": lambda rng, _: caps(rng),
    "cable": lambda rng, _: cable(rng),
    "strip": lambda rng, _: strip(rng),
    "brackets": lambda rng, _: brackets(rng),
}
HUNDREDS: dict[str, Set] = {
    **{f"hundreds of {name}": many(SETS[name], 6) for name in ("brackets", "caps", "cable", "strip", "weave")},
    "hundreds of cells of two kinds": lambda rng, _: cells(["mono", "poly"], 150, rng),
}
"""As factories have them: what needs many good parts shows here what it is worth."""
KINDS: dict[str, Set] = {
    "pills": lambda rng, _: pills(rng),
    "nuts": lambda rng, _: nuts(rng),
    "hazelnuts": lambda rng, _: hazelnuts(rng),
    "gaskets": lambda rng, _: gaskets(rng),
    "watch glasses": lambda rng, _: glasses(rng),
    "transistor": lambda rng, _: transistor(rng),
    "zipper": lambda rng, _: zipper(rng),
    "bottle": lambda rng, _: bottle(rng),
    "wood": lambda rng, _: wood(rng),
    "label": lambda rng, _: label(rng),
    "profiles": lambda rng, _: profiles(rng),
}
"""Other kinds of pictures: the advice of `train-model init` is tried on them, and taken away or put in its place."""
BITS = {"watch glasses": 12}
"""Of a camera's grey levels, where its files keep 16: `init` asks for them."""


@cache
def _cookies(mvtec: Path) -> tuple[list[Picture], list[Picture], list[Picture]]:
    """The cookies (576, 576, 3) to train, the good ones to test, the broken ones; each in the middle."""
    found: list[list[Picture]] = []
    for folder in ("train/good", "test/good", "test/defective"):
        found.append([])
        for path in sorted((mvtec / "cookie" / folder).iterdir()):
            picture = read_picture(path)
            x, y = outline(picture).middle
            left, top = np.clip([x - 288, y - 288], 0, [picture.shape[1] - 576, picture.shape[0] - 576]).astype(int)
            found[-1].append(picture[top : top + 576, left : left + 576])
    return found[0], found[1], found[2]


def _inside(screw: Picture) -> Mask:
    """Where a screw (H, W, 3) lies: what is darker than its ground, without its shadow, its highlights filled."""
    dark = (screw[:, :, 0] < 0.78 * np.median(screw)).astype(np.uint8)
    closed = cv2.morphologyEx(dark, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    rims, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(dark)
    cv2.drawContours(filled, [max(rims, key=cv2.contourArea)], -1, 1, -1)
    return filled > 0
