"""Pictures that are there twice in all but the bits: how many `train-model init` finds, and what it takes for such.

    python benchmarks/twins.py --mvtec DIR [--sets cookie ...]

Of each set first the pairs that it names among the pictures as they are, to be looked at. Then up to 40 good training
pictures are put among those of the test, saved again or filmed again in each of WAYS, and the share found is told.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.datasets.dataset import labelled_samples, spread, training_samples
from core.pictures.picture import read_picture
from training.looking.bursts import look_of
from training.looking.twins import detail_of, twins_of

SETS = ("elpv:mono", "elpv:poly", "screw", "cookie", "metal_plate", "circuitboard")
PLANTED = 40
Picture = NDArray[np.uint8]


def jpeg(picture: Picture, quality: int) -> Picture:
    """Save it so, and read it."""
    content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


def resized(picture: Picture, times: float, how: int) -> Picture:
    """Make it so many times as large."""
    return np.asarray(cv2.resize(picture, None, fx=times, fy=times, interpolation=how), np.uint8)


def filmed(picture: Picture, aside_px: float, rng: np.random.Generator) -> Picture:
    """Film it again: so far aside, up to 3 % darker or brighter, with noise of 3 grey levels."""
    turn = rng.uniform(0, 2 * np.pi)
    aside = np.array([[1, 0, aside_px * np.cos(turn)], [0, 1, aside_px * np.sin(turn)]])
    moved = cv2.warpAffine(picture, aside, picture.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    noisy = moved * rng.uniform(0.97, 1.03) + rng.normal(0, 3, moved.shape)
    return np.asarray(noisy.round().clip(0, 255), np.uint8)


WAYS: dict[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "JPEG of quality 95": lambda picture, _: jpeg(picture, 95),
    "JPEG of quality 75": lambda picture, _: jpeg(picture, 75),
    "JPEG of quality 50": lambda picture, _: jpeg(picture, 50),
    "JPEG of quality 30": lambda picture, _: jpeg(picture, 30),
    "half as large": lambda picture, _: resized(picture, 0.5, cv2.INTER_AREA),
    "0.53 times as large, JPEG of quality 75": lambda picture, _: jpeg(resized(picture, 0.53, cv2.INTER_CUBIC), 75),
    "1.7 times as large": lambda picture, _: resized(picture, 1.7, cv2.INTER_LINEAR),
    "10 % brighter": lambda picture, _: np.clip(picture * 1.1, 0, 255).astype(np.uint8),
    "filmed again, nothing moved": lambda picture, rng: filmed(picture, 0, rng),
    "filmed again, moved by a thousandth": lambda picture, rng: filmed(picture, picture.shape[1] / 1000, rng),
    "filmed again, moved by 1 pixel": lambda picture, rng: filmed(picture, 1, rng),
    "filmed again, moved by 2 pixels": lambda picture, rng: filmed(picture, 2, rng),
}


def main() -> None:
    """Look at the sets, each in every way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mvtec", type=Path, required=True, help="folder with screw, cookie and others")
    parser.add_argument("--sets", nargs="+", default=SETS)
    arguments = parser.parse_args()
    for name in arguments.sets:
        data = name if name.startswith("elpv:") else str(arguments.mvtec / name)
        train, test = ([sample.path for sample in listed(data)] for listed in (training_samples, labelled_samples))
        pictures = [read_picture(path) for path in train]
        looks, details = list(map(look_of, pictures)), list(map(detail_of, pictures))
        tested = [read_picture(path) for path in test]
        named = twins_of([*looks, *map(look_of, tested)], [*details, *map(detail_of, tested)], len(train))
        paths = [*train, *test]
        print(f"{name}: {len(train)} for training, {len(test)} to test; named as they are:", len(named))
        for one, other in named:
            print(f"    {paths[one]} and {paths[other]}")
        chosen = spread(range(len(train)), PLANTED)
        for way, made in WAYS.items():
            rng = np.random.default_rng(0)
            planted = [made(pictures[index], rng) for index in chosen]
            pairs = twins_of([*looks, *map(look_of, planted)], [*details, *map(detail_of, planted)], len(train))
            true = {(index, len(train) + number) for number, index in enumerate(chosen)}
            print(f"  {way}: {len(true.intersection(pairs)) / len(true):.0%} found", flush=True)


if __name__ == "__main__":
    main()
