"""Does calibration keep its promise? The share of fresh good parts that is rejected, by how many parts calibrate.

    python benchmarks/promise.py > benchmarks/results/promise.json

Errors are generated: skewed, of unlike scales, correlated over a part's tiles. Each decoder adds noise of its own to
each error (its log's standard deviation is `decoder_noise`); a part that calibrates is judged by the one decoder that
has not seen it, a fresh part by the mean of all, as with `folds`. `threshold_over_ideal` is the price of few parts: the
threshold over the one that would reject exactly the asked share, on average. Means over 200 calibrations.
"""

import json

import numpy as np
from machine import describe

from core.thresholds import calibrate, scores

CALIBRATIONS = 200
FOLDS = 4
CASES = ((20, 0.05), (30, 0.05), (30, 0.1), (50, 0.05), (100, 0.02), (100, 0.05), (400, 0.05), (400, 0.01))


def good_parts(parts: int, seed: int, noise: float, decoders: int) -> np.ndarray:
    """Errors (parts, 10): the mean over so many decoders."""
    rng = np.random.default_rng(seed)
    common = rng.gamma(4, 0.25, (parts, 1))
    errors = common * rng.gamma(8, 1 / 8, (parts, 10)) * np.geomspace(1e-4, 10, 10)
    return errors * np.exp(noise * rng.standard_normal((decoders, parts, 10))).mean(axis=0)


def main() -> None:
    found = []
    for noise in (0.0, 0.1, 0.3):
        fresh = good_parts(20_000, 999, noise, FOLDS)
        for parts, asked in CASES:
            for believe_all in (True, False):
                sets = (good_parts(parts, seed, noise, 1) for seed in range(CALIBRATIONS))
                calibrated = [calibrate(errors, asked, believe_all=believe_all) for errors in sets]
                told = [(t, scores(fresh, t)) for t in calibrated]
                rates = np.array([(score > 1).mean() for _, score in told])
                bounds = np.array([t.false_reject_upper for t, _ in told])
                found.append(
                    {
                        "decoder_noise": noise,
                        "parts": parts,
                        "asked": asked,
                        "fence": not believe_all,
                        "rejected": round(float(rates.mean()), 4),
                        "left_out": round(float(np.mean([t.odd for t, _ in told])) / parts, 4),
                        "within_upper_bound": round(float(np.mean(rates <= bounds)), 3),
                        "threshold_over_ideal": round(
                            float(np.mean([1 / np.quantile(score, 1 - asked) for _, score in told])), 3
                        ),
                    }
                )
    print(json.dumps({"calibrations": found, **describe("p-wae", "numpy")}, indent=2))


if __name__ == "__main__":
    main()
