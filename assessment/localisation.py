"""How well an error map finds the defect: pixel AUROC, and AUPRO, which counts every defect region alike."""

import sys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from core.datasets.dataset import Sample
from core.datasets.frames import read_mask
from core.datasets.layout import GOOD
from core.errors import DataError
from training.settings import NetworkSettings

FALSE_POSITIVE_LIMIT = 0.3
"""AUPRO integrates up to this false-positive rate, as MVTec's evaluation does."""
STEPS = 300
"""Of it, at which the overlap is measured."""


def localisation_metrics(
    samples: Sequence[Sample], error_maps: NDArray[np.float32], network: NetworkSettings
) -> dict[str, float | None]:
    """Pixel AUROC and AUPRO over good pictures and those with a mask, as the network sees them; None without masks.

    `error_maps` (N, h, w) are enlarged linearly to the input's size. `masks_vanished` counts the pictures whose mask
    marks nothing that the network sees, or cannot be read, which is told on stderr; they are left out.
    """
    height, width = network.height, network.width
    masks = {}
    for i, sample in enumerate(samples):
        if sample.kind == GOOD or sample.mask is not None:
            try:
                masks[i] = read_mask(sample, network.input)
            except DataError as error:
                sys.stderr.write(f"skipped in localisation: {error}\n")
                masks[i] = np.zeros((height, width), bool)
    vanished = [i for i, mask in masks.items() if samples[i].mask is not None and not mask.any()]
    chosen = [i for i in masks if i not in vanished]
    if not any(samples[i].mask for i in chosen):
        return {"pixel_auroc": None, "aupro": None, "masks_vanished": len(vanished)}
    marked = np.stack([masks[i] for i in chosen])
    maps = np.stack([cv2.resize(error_maps[i], (width, height), interpolation=cv2.INTER_LINEAR) for i in chosen])
    return {
        "pixel_auroc": float(roc_auc_score(marked.ravel(), maps.ravel())),
        "aupro": aupro(marked, maps),
        "masks_vanished": len(vanished),
    }


def aupro(masks: NDArray[np.bool_], maps: NDArray[np.floating]) -> float:
    """Area under the per-region overlap over the false-positive rate 0..0.3, divided by 0.3 (Bergmann et al. 2021).

    masks, maps (N, H, W). A region is 8-connected; its overlap is the share of it above the threshold.
    """
    rates = np.linspace(0, FALSE_POSITIVE_LIMIT, STEPS)
    thresholds = np.quantile(maps[~masks], 1 - rates)
    overlaps = []
    for mask, error_map in zip(masks, maps, strict=True):
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        for region in range(1, count):
            inside = np.sort(error_map[labels == region])
            overlaps.append(1 - np.searchsorted(inside, thresholds) / len(inside))
    return float(np.trapezoid(np.mean(overlaps, axis=0), rates) / FALSE_POSITIVE_LIMIT)
