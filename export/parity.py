"""Parity: the exported model must judge real pictures as the trained one does, error by error, verdict by verdict."""

import numpy as np
from numpy.typing import NDArray

from core.errors import ParityError
from core.thresholds import Thresholds, ratios, scores
from runtime.backend import Backend
from runtime.bundle import Parity

TOLERANCE = {"fp32": 1e-3}
"""Largest allowed |difference| of an error, as a share of its threshold, by precision."""


def backend_errors(backend: Backend, frames_bgr_u8: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Errors (N, K + 1) of frames (N, H, W, 3) as the runtime computes them."""
    batch = backend.new_batch()
    parts = []
    for start in range(0, len(frames_bgr_u8), backend.max_batch):
        chunk = frames_bgr_u8[start : start + backend.max_batch]
        batch[: len(chunk)] = chunk
        parts.append(np.array(backend.submit(batch[: len(chunk)]).errors()))
    return np.concatenate(parts)


def compare(reference: NDArray[np.float32], exported: NDArray[np.float32], thresholds: Thresholds) -> Parity:
    """Compare errors (N, K + 1) of the trained and the exported model."""
    difference = np.abs(ratios(exported, thresholds) - ratios(reference, thresholds))
    flips = (scores(reference, thresholds) > 1) != (scores(exported, thresholds) > 1)
    return Parity(
        precision="fp32",
        backend="onnxruntime",
        pictures=len(reference),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        verdict_flips=int(flips.sum()),
    )


def require_parity(parity: Parity, precision: str) -> None:
    """Raise ParityError where a verdict flips or an error is off by more than the precision's tolerance."""
    if parity.verdict_flips:
        raise ParityError(f"{parity.verdict_flips} of {parity.pictures} pictures change their verdict when exported.")
    if not parity.largest_difference <= TOLERANCE[precision]:
        raise ParityError(
            f"an error differs by {parity.largest_difference:.2g} of its threshold when exported "
            f"(allowed for {precision}: {TOLERANCE[precision]:.2g})."
        )
