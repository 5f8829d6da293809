"""Pairs that merely lie alike, and copies: by which share of their own grain, and how far moved, are they told apart?

    python benchmarks/sketch_lie_alike.py --mvtec DIR --output benchmarks/results/lie_alike.jsonl

Of 250 drawn parts that nothing tells apart the pairs that `twins_of` names, none of which is one, and copies of some
that were saved again; of real sets copies, as of `benchmarks/twins.py`, that it finds. A line each way: how many pairs
it names (`before`), how many `copies_among` leaves (`after`), what share of their own grain is in both (least, 5 %,
half, 95 %, most), and the seconds that a pair takes.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from twins import SETS, WAYS, filmed, jpeg

from core.datasets.dataset import spread, training_samples
from core.pictures.picture import read_picture
from training.looking.bursts import look_of
from training.looking.grain import copies_among, own_grain_shared
from training.looking.twins import detail_of, twins_of

COUNT = 250
QUANTILES = (0, 0.05, 0.5, 0.95, 1)
Picture = NDArray[np.uint8]


def inside(shape: str, x: NDArray[np.float64], y: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """Give how bright (0 to 1) a part is at places by its middle, with edges of a pixel."""
    radius = np.hypot(x, y)
    part = 0.34 * size
    if shape == "hexagon":
        angles = np.arange(6) * np.pi / 3
        far = np.max([x * np.cos(angle) + y * np.sin(angle) for angle in angles], axis=0)
        return np.asarray(np.clip(0.85 * part - far + 0.5, 0, 1))
    disc: NDArray[np.float64] = np.clip(part - radius + 0.5, 0, 1)
    if shape == "washer":
        return disc * np.clip(radius - 0.4 * part + 0.5, 0, 1)
    return disc * (0.8 + 0.2 * np.cos(2 * np.pi * radius / (0.02 * size)))


def drawn(shape: str, noise: float, size: int, turns: bool, colour: bool, quality: int | None, seed: int) -> Picture:
    """Draw a part up to 10 pixels of 480 off its place, turned by up to 5 degrees where it `turns`."""
    rng = np.random.default_rng(seed)
    aside = rng.uniform(-10, 10, 2) * size / 480
    angle = np.radians(rng.uniform(-5, 5)) if turns else 0.0
    down, across = np.mgrid[:size, :size] - (size - 1) / 2
    x, y = across - aside[0], down - aside[1]
    x, y = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    shown = inside(shape, x, y, size)
    levels = np.array([110.0, 130.0, 150.0] if colour else [130.0] * 3)
    frame = 40 + shown[:, :, None] * levels
    frame = frame + (rng.normal(0, noise, frame.shape) if colour else rng.normal(0, noise, shown.shape)[:, :, None])
    picture = np.asarray(frame.round().clip(0, 255), np.uint8)
    return jpeg(picture, quality) if quality else picture


PLAIN = {
    f"{shape}, {how}": partial(drawn, shape, *asked)
    for shape in ("washer", "hexagon", "grooves")
    for how, asked in {
        "noise of 1": (1.0, 480, False, False, None),
        "noise of 2": (2.0, 480, False, False, None),
        "noise of 3": (3.0, 480, False, False, None),
        "JPEG of quality 90": (2.0, 480, False, False, 90),
        "colour": (2.0, 480, False, True, None),
        "turned": (2.0, 480, True, False, None),
        "2 megapixels": (2.0, 1440, False, False, None),
    }.items()
}
SAVED = ("JPEG of quality 75", "JPEG of quality 30", "half as large", "1.7 times as large", "10 % brighter")


def filmed_noisier(picture: Picture, rng: np.random.Generator) -> Picture:
    """Film it again 1 pixel aside with noise of 9 grey levels."""
    return np.asarray((filmed(picture, 1, rng) + rng.normal(0, 8.5, picture.shape)).round().clip(0, 255), np.uint8)


def told(
    named: Sequence[tuple[int, int]], looks: Sequence[NDArray[np.float32]], seen: Callable[[int], Picture]
) -> dict[str, Any]:
    """Tell how many pairs were named and still are, the shares of grain, and the seconds that each pair takes."""
    shares: list[float] = []
    began_s = time.perf_counter()

    def share(*frames: Any) -> float:
        shares.append(own_grain_shared(*frames))
        return shares[-1]

    with mock.patch("training.looking.grain.own_grain_shared", share):
        left = copies_among(named, looks, seen)
    took_s = (time.perf_counter() - began_s) / max(len(named), 1)
    spread_out = [round(float(share), 3) for share in np.quantile(shares, QUANTILES)] if shares else []
    return {"before": len(named), "after": len(left), "shares": spread_out, "s": round(took_s, 3)}


def plain(only: str) -> Iterator[dict[str, Any]]:
    """Look at drawn parts and copies of them that were saved again."""
    for name, draw in PLAIN.items():
        if only not in name:
            continue
        seen = lru_cache(maxsize=64)(draw)
        looks, details = zip(*((look_of(p), detail_of(p)) for p in map(draw, range(COUNT))), strict=True)
        named = twins_of(looks, details, COUNT)
        yield {"set": name, "way": "named as they are", **told(named, looks, seen)}
        for way in SAVED:
            yield {"set": name, "way": way, **planted(way, seen, looks, details, 8)}


def planted(
    way: str,
    seen: Callable[[int], Picture],
    looks: Sequence[NDArray[np.float32]],
    details: Sequence[NDArray[np.float16]],
    count: int,
) -> dict[str, Any]:
    """Plant copies, and look at those that are found."""
    rng = np.random.default_rng(0)
    chosen = spread(range(len(looks)), count)
    copies = [{**WAYS, "filmed again, noise of 9": filmed_noisier}[way](seen(k), rng) for k in chosen]
    all_looks = [*looks, *map(look_of, copies)]
    pairs = twins_of(all_looks, [*details, *map(detail_of, copies)], len(looks))
    true = [(k, len(looks) + n) for n, k in enumerate(chosen) if (k, len(looks) + n) in pairs]
    return {**told(true, all_looks, lambda k: seen(k) if k < len(looks) else copies[k - len(looks)]), "planted": count}


def real(mvtec: Path, only: str) -> Iterator[dict[str, Any]]:
    """Look at real sets and copies in every way."""
    for name in SETS:
        if only not in name:
            continue
        data = name if name.startswith("elpv:") else str(mvtec / name)
        pictures = [read_picture(sample.path) for sample in training_samples(data)]
        looks, details = list(map(look_of, pictures)), list(map(detail_of, pictures))
        for way in [*WAYS, "filmed again, noise of 9"]:
            yield {"set": name, "way": way, **planted(way, pictures.__getitem__, looks, details, 10)}


def main() -> None:
    """Look at drawn parts, then at real ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mvtec", type=Path, required=True, help="folder with screw, cookie and others")
    parser.add_argument("--only", default="", help="what the name of a set contains")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    with arguments.output.open("a") as file:
        for line in chain(plain(arguments.only), real(arguments.mvtec, arguments.only)):
            print(line, flush=True)
            file.write(json.dumps(line) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
