"""Sketch: how many planted defective pictures a first look finds, and how many good ones it names.

    python benchmarks/sketch_look.py --mvtec DIR --sets cookie metal_plate --seeds 0 1 2

The recipe's maps. A place is as far as the place most alike in another picture: `at` the share-th nearest picture, or
the `mean` over those up to it. A picture's statistic is its standing by the verdict's rule (`stand`), the log error of
the image (`image`) or of the largest tile (`tile`). Clean: pictures beyond the fence, of none planted. Then 5 % are
replaced by defective ones, seeded: good ones beyond the fence, planted ones beyond it, planted ones among the first 2k.
"""

import argparse
import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from quality import SETS
from rarity import SHARES, far, rarity
from sketch_odd_pictures import feature_channels, maps_of, plant, standardised

from core.thresholds import FENCE, standing


def beyond_fence(statistic: NDArray[np.float64]) -> NDArray[np.bool_]:
    believed = np.arange(len(statistic))
    while True:
        low, high = np.percentile(statistic[believed], [25, 75])
        within = statistic[believed] <= high + FENCE * (high - low)
        if within.all():
            break
        believed = believed[within]
    return ~np.isin(np.arange(len(statistic)), believed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.sets:
        raw, trains, defective, settings = maps_of(name, arguments.mvtec)
        counts: dict[tuple[str, float, str], NDArray[np.int64]] = defaultdict(lambda: np.zeros(5, np.int64))
        for seed in arguments.seeds:
            clean = np.flatnonzero(trains)
            for good, bad in ((clean, []), plant(clean, defective, seed)):
                maps = standardised(raw, good)[torch.from_numpy(good)]
                logs = far(maps, feature_channels(settings), seed)
                is_bad = np.isin(good, bad)
                for kind, share in itertools.product(("at", "mean"), SHARES):
                    errors = rarity(logs, (maps.shape[2], maps.shape[3]), kind, share, min(59, len(good) - 1))
                    statistics = {"stand": standing(errors), "image": errors[:, 0], "tile": errors[:, 1:].max(1)}
                    for rule, statistic in statistics.items():
                        odd = beyond_fence(statistic if rule == "stand" else np.log(statistic))
                        first = is_bad[np.argsort(-statistic)[: 2 * len(bad)]].sum()
                        told = [0, (odd & ~is_bad).sum(), (odd & is_bad).sum(), first, len(bad)]
                        counts[kind, share, rule] += np.array(told if bad else [odd.sum(), 0, 0, 0, 0])
        for key, (of_clean, of_good, found, first, planted) in counts.items():
            of_planted = f"planted {found}, among the first 2k {first} of {planted}"
            print(f"{name:14s} {key!s:22s} clean {of_clean}, then good {of_good}, {of_planted}", flush=True)


if __name__ == "__main__":
    main()
