"""How well an error map finds the defect: pixel AUROC, and AUPRO, which counts every defect region alike."""

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.datasets.dataset import Sample
from core.datasets.frames import read_mask
from core.datasets.layout import GOOD
from core.errors import DataError
from training.settings import NetworkSettings

FALSE_POSITIVE_LIMIT = 0.3
"""AUPRO integrates up to this false-positive rate, as MVTec's evaluation does."""
MOSTLY = 0.5
"""Of a defect's area."""
_DROPPED_BITS = 12
"""Of an error's 32: errors that differ by less than 0.05 % are counted as equal."""
_LEVELS = 2 ** (32 - _DROPPED_BITS)


def localisation_metrics(
    samples: Sequence[Sample], error_maps: NDArray[np.float32], network: NetworkSettings
) -> dict[str, float | None]:
    """Pixel AUROC and AUPRO over good pictures and those with a mask, as the network sees them; None without masks.

    `error_maps` (N, h, w) are enlarged linearly to the input's size, one after the other. `masks_vanished` counts the
    defective pictures whose mask marks nothing that the network sees, or cannot be read, which is told on stderr, as
    is where some have none; they are left out. `masks_cut_away` counts those of which most lies outside of what is cut
    out, told as well: there nothing is judged.
    """
    pixels, vanished = Pixels(), 0
    outside: list[Path] = []
    defective = [sample for sample in samples if sample.kind != GOOD]
    bare = [sample for sample in defective if sample.mask is None]
    if 0 < len(bare) < len(defective):
        what = f"{len(bare)} of {len(defective)} defective pictures have no mask, such as {bare[0].path}"
        sys.stderr.write(f"skipped in localisation: {what}\n")
    for sample, error_map in zip(samples, error_maps, strict=True):
        if sample.kind != GOOD and sample.mask is None:
            continue
        try:
            mask = read_mask(sample, network.input)
        except DataError as error:
            sys.stderr.write(f"skipped in localisation: {error}\n")
            vanished += sample.kind != GOOD
            continue
        is_outside = mask.cut_away > MOSTLY
        outside += [sample.path] if is_outside else []
        if sample.kind != GOOD and not mask.marked.any():
            vanished += not is_outside
            continue
        pixels.add(mask.marked, cv2.resize(error_map, (network.width, network.height), interpolation=cv2.INTER_LINEAR))
    if outside:
        what = "`network.part_size`" if network.part_size else "`network.roi`"
        sys.stderr.write(
            f"warning: of {len(outside)} of {len(defective)} defects most lies outside of what {what} cuts out, where "
            f"nothing is judged, such as {outside[0]}: cut out more, or nothing.\n"
        )
    found = {"pixel_auroc": pixels.auroc(), "aupro": pixels.aupro()}
    return {**found, "masks_vanished": vanished, "masks_cut_away": len(outside)}


class Pixels:
    """Pixels of any number of pictures, counted by their error: what both figures need, in the same memory for all."""

    def __init__(self) -> None:
        """Begin without any."""
        self._unmarked = np.zeros(_LEVELS, np.int64)
        self._marked = np.zeros(_LEVELS, np.int64)
        self._regions = np.zeros(_LEVELS)
        """Of each region, however large, 1 in all."""

    def add(self, mask: NDArray[np.bool_], error_map: NDArray[np.floating]) -> None:
        """Count a picture's pixels (H, W), of which `mask` marks the defect; a region of it is 8-connected."""
        levels = _levels(error_map)
        np.add.at(self._unmarked, levels[~mask], 1)
        if mask.any():
            np.add.at(self._marked, levels[mask], 1)
            regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1][mask]
            np.add.at(self._regions, levels[mask], 1 / np.bincount(regions)[regions])

    def auroc(self) -> float | None:
        """Area under the ROC curve of all pixels; None where all or none are marked."""
        curve = self._curve(self._marked)
        return None if curve is None else float(np.trapezoid(curve[1], curve[0]))

    def aupro(self) -> float | None:
        """Area under the per-region overlap over the false-positive rate 0..0.3, divided by 0.3 (Bergmann et al. 2021).

        A region's overlap is the share of it above the threshold. None where all pixels or none are marked.
        """
        curve = self._curve(self._regions)
        if curve is None:
            return None
        rates, overlaps = curve
        inside = rates < FALSE_POSITIVE_LIMIT
        at_limit = np.interp(FALSE_POSITIVE_LIMIT, rates, overlaps)
        rates, overlaps = np.append(rates[inside], FALSE_POSITIVE_LIMIT), np.append(overlaps[inside], at_limit)
        return float(np.trapezoid(overlaps, rates) / FALSE_POSITIVE_LIMIT)

    def _curve(self, marked: NDArray[np.int64] | NDArray[np.float64]) -> tuple[NDArray[np.float64], ...] | None:
        """Shares of unmarked and of `marked` pixels above a threshold that falls from the highest error on."""
        if not (self._unmarked.any() and marked.any()):
            return None
        held = np.flatnonzero((self._unmarked > 0) | (marked > 0))[::-1]
        above = (np.append(0, np.cumsum(counts[held], dtype=np.float64)) for counts in (self._unmarked, marked))
        return tuple(sums / sums[-1] for sums in above)


def _levels(errors: NDArray[np.floating]) -> NDArray[np.int64]:
    """Number errors by their size: a float's bits are in its order, but for the sign."""
    bits = (errors.astype(np.float32) + 0).view(np.int32)  # of -0.0 makes 0.0
    ordered = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    return np.asarray((ordered >> _DROPPED_BITS).astype(np.int64) + _LEVELS // 2)
