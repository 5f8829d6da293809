"""Does calibration keep its promise? The share of fresh good parts that is rejected, by how many parts calibrate.

    python benchmarks/promise.py > benchmarks/results/promise.json

Errors are generated: skewed, of unlike scales, correlated over a part's tiles. Means over 200 calibrations.
"""

import json

import numpy as np
from machine import describe

from core.thresholds import calibrate, scores

CALIBRATIONS = 200


def good_parts(parts: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    common = rng.gamma(4, 0.25, (parts, 1))
    return common * rng.gamma(8, 1 / 8, (parts, 10)) * np.geomspace(1e-4, 10, 10)


def main() -> None:
    fresh = good_parts(20_000, seed=999)
    found = []
    for parts, asked in ((20, 0.05), (40, 0.05), (82, 0.05), (100, 0.02), (100, 0.05), (100, 0.2)):
        rates = [(scores(fresh, calibrate(good_parts(parts, seed), asked)) > 1).mean() for seed in range(CALIBRATIONS)]
        found.append({"parts": parts, "asked": asked, "rejected": round(float(np.mean(rates)), 4)})
    print(json.dumps({"false_reject_rate": found, **describe("p-wae", "numpy")}, indent=2))


if __name__ == "__main__":
    main()
