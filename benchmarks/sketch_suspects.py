"""Sketch: what first look and decoders say of planted defective pictures and of odd good ones, and who finds them.

    python benchmarks/sketch_suspects.py --mvtec DIR [--sets cookie ...] [--seeds 0 1 2]

One in twenty of the good training pictures is replaced by a defective one, seeded, and with `--clean` none. The recipe
trains without what the first look doubts. Told: how far (in interquartile ranges above the upper quartile of those
believed) each planted picture and each doubted good one stands by the first look and by the decoders that have not seen
it, and how many planted ones are among the first 2k by either, by the larger of both ranks, and as suspects.csv has it.
Figures are appended to benchmarks/results/suspects.jsonl.
"""

import csv
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from machine import describe
from numpy.typing import NDArray
from quality import RESULTS, append_run, parser_of_sets, read_runs
from sketch_doubted import prepared

from core.thresholds import standing
from training import first_look
from training.detector.checkpoint import load_checkpoint
from training.session import train

RUNS = Path("runs/suspects")


def main() -> None:
    parser = parser_of_sets(__doc__)
    parser.add_argument("--clean", action="store_true", help="none is planted")
    arguments = parser.parse_args()
    log = RESULTS / "suspects.jsonl"
    done = {(run["set"], run["seed"], run["planted"] > 0) for run in read_runs(log)}
    for seed, name in product(arguments.seeds, arguments.sets):
        if (name, seed, not arguments.clean) not in done:
            run = measure(name, arguments.mvtec, seed, not arguments.clean)
            append_run(log, run)
            print(run, flush=True)


def measure(name: str, mvtec: Path, seed: int, is_planted: bool) -> dict[str, Any]:
    """Train once, and look at what was said."""
    ready = prepared(RUNS, name, mvtec, seed, is_planted)
    planted = ready.planted
    seen: list[NDArray[np.float64]] = []

    def rarities(*asked: Any) -> NDArray[np.float64]:
        seen.append(first_look_rarities(*asked))
        return seen[-1]

    first_look_rarities = first_look.rarities
    with mock.patch("training.first_look.rarities", rarities):
        checkpoint = load_checkpoint(train(ready.settings))
    calibration = checkpoint.calibration
    # The first look goes by the frames' order, which is the names'.
    frames_order = np.argsort(np.argsort(calibration.names, kind="stable"), kind="stable")
    first = ranges(standing(seen[0])[frames_order], calibration.doubted)
    by_errors = ranges(standing(calibration.errors), calibration.doubted)
    names = [Path(each).name for each in calibration.names]
    bad = np.array([each in planted for each in names])
    with (ready.folder / "suspects.csv").open(encoding="utf-8") as file:
        listed = [Path(row["file"]).name for row in csv.DictReader(file)]
    ranks = {way: np.argsort(np.argsort(-values)) for way, values in (("first", first), ("decoders", by_errors))}
    ranks["either"] = np.argsort(np.argsort(np.minimum(ranks["first"], ranks["decoders"]), kind="stable"))
    ranks["both"] = np.argsort(np.argsort(ranks["first"] + ranks["decoders"], kind="stable"))
    ranks["sum"] = np.argsort(np.argsort(-(first + by_errors)))
    within = 2 * len(planted)
    return {
        "set": name,
        "seed": seed,
        "parts": len(names),
        "planted": len(planted),
        "found": {way: int((rank[bad] < within).sum()) for way, rank in ranks.items()}
        | {"suspects.csv": len(planted & set(listed[:within]))},
        "of_planted": [
            [round(float(a), 2), round(float(b), 2)] for a, b in zip(first[bad], by_errors[bad], strict=True)
        ],
        "of_good_doubted": [
            [round(float(first[line]), 2), round(float(by_errors[line]), 2)]
            for line in np.flatnonzero(calibration.doubted & ~bad)
        ],
        "of_good_odd": [
            [round(float(first[line]), 2), round(float(by_errors[line]), 2)]
            for line in np.flatnonzero(calibration.odd & ~calibration.doubted & ~bad)
        ],
        **describe("torch"),
    }


def ranges(stands: NDArray[np.float64], doubted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Interquartile ranges above the upper quartile of those that are not doubted."""
    lower, upper = np.percentile(stands[~doubted], [25, 75])
    above: NDArray[np.float64] = (stands - upper) / (upper - lower)
    return above


if __name__ == "__main__":
    main()
