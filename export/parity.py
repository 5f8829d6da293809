"""Parity: the exported model must judge real pictures as the trained one does, error by error, verdict by verdict."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from core.datasets.dataset import Sample, are_defective, spread
from core.datasets.frames import read_frames
from core.pictures.geometry import ModelInput
from core.pictures.tiles import output_names
from core.placements import placements
from core.progress import counted
from core.thresholds import Thresholds, differences, scores
from runtime.bundles.known_pictures import TOLERANCE
from runtime.bundles.manifest import OutputParity, Parity
from runtime.bundles.precision import Precision
from runtime.inference.backend import Backend

PICTURES = 200
"""Pictures compared, spread evenly over the data."""


@dataclass(frozen=True)
class ParitySet:
    """Real pictures on which a model has to answer as another did."""

    frames_bgr_u8: NDArray[np.uint8]
    """(N, H, W, 3)."""
    samples: tuple[Sample, ...]
    errors: NDArray[np.float32]
    """(N, K + 1), the answers: of the trained model, where it is at hand."""
    thresholds: Thresholds

    @property
    def defective(self) -> NDArray[np.bool_]:
        """Which pictures show a defective part (N,), as far as the data's folders tell."""
        return are_defective(self.samples)


def exam_frames(samples: Sequence[Sample], model_input: ModelInput) -> tuple[NDArray[np.uint8], tuple[Sample, ...]]:
    """Read up to PICTURES of `samples`, fitted to `model_input`. Raises DataError where none can be read."""
    frames = read_frames(spread(samples, PICTURES), model_input)
    return frames.bgr_u8, frames.samples


def backend_errors(backend: Backend, frames_bgr_u8: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Errors (N, K + 1) of frames (N, H, W, 3) as the runtime computes them."""
    batch = backend.new_batch()
    parts = []
    starts = range(0, len(frames_bgr_u8), backend.max_batch)
    for start in counted(starts, f"judging with {backend.name}"):
        chunk = frames_bgr_u8[start : start + backend.max_batch]
        batch[: len(chunk)] = chunk
        parts.append(np.array(backend.submit(batch[: len(chunk)]).errors()))
    return np.concatenate(parts)


def examine(backend: Backend, exam: ParitySet, precision: Precision) -> Parity:
    """Let a backend answer the exam, after one batch to warm up."""
    backend_errors(backend, exam.frames_bgr_u8[: backend.max_batch])
    started_s = time.perf_counter()
    errors = backend_errors(backend, exam.frames_bgr_u8)
    images_per_s = len(errors) / (time.perf_counter() - started_s)
    return compare(exam, errors, precision, backend.name).model_copy(update={"images_per_s": images_per_s})


def compare(exam: ParitySet, errors: NDArray[np.float32], precision: Precision, backend: str) -> Parity:
    """Compare errors (N, K + 1) with the exam's answers."""
    difference = differences(errors, exam.errors, exam.thresholds)
    trained, exported = scores(exam.errors, exam.thresholds), scores(errors, exam.thresholds)
    return Parity(
        precision=precision,
        backend=backend,
        pictures=len(errors),
        largest_difference=_finite(difference.max()),
        mean_difference=_finite(difference.mean()),
        verdict_flips=int((((trained > 1) != (exported > 1)) | np.isnan(exported)).sum()),
        auroc=_auroc(exam.defective, exported),
        auroc_trained=_auroc(exam.defective, trained),
        outputs=tuple(
            OutputParity(output=name, largest_difference=_finite(one.max()), mean_difference=_finite(one.mean()))
            for name, one in zip(output_names(errors.shape[1]), difference.T, strict=True)
        ),
    )


def faults(parity: Parity, allow_flips: int = 0) -> str | None:
    """Say what keeps a graph from passing: verdicts that flip, or an error beyond the precision's tolerance."""
    if parity.verdict_flips > allow_flips:
        return (
            f"{parity.verdict_flips} of {parity.pictures} pictures change their verdict in {parity.precision} "
            f"(an error differs by up to {parity.largest_difference:.2g} of its threshold)."
        )
    if not parity.largest_difference <= TOLERANCE[parity.precision]:
        return (
            f"an error differs by {parity.largest_difference:.2g} of its threshold in {parity.precision} "
            f"(allowed: {TOLERANCE[parity.precision]:.2g})."
        )
    return None


def parity_table(parities: Sequence[Parity], against: str = "the trained model") -> Table:
    """Lay out what each precision and backend gave, compared with `against`."""
    trained = parities[0].auroc_trained
    table = Table(
        *("", "backend", "verdicts that differ", "largest difference", "mean", "pictures a second"),
        *(() if trained is None else ("AUROC",)),
        title=f"against {against}{'' if trained is None else f', AUROC {trained:.4f}'}",
        caption="differences of errors: as a share of the threshold, or of the error where that is larger",
    )
    for row in parities:
        table.add_row(
            *(row.precision, row.backend, f"{row.verdict_flips} of {row.pictures}"),
            *(f"{row.largest_difference:.2g}", f"{row.mean_difference:.2g}"),
            "-" if row.images_per_s is None else f"{row.images_per_s:.{0 if row.images_per_s >= 100 else 1}f}",
            *(() if trained is None else ("-" if row.auroc is None else f"{row.auroc:.4f}",)),
        )
    return table


def outputs_table(parities: Sequence[Parity]) -> Table:
    """Lay out the largest and mean difference of each error, a column a precision and backend."""
    names = [f"{row.precision}\n{row.backend}" for row in parities]
    table = Table("error", *names, title="largest difference (mean), by error")
    for outputs in zip(*(row.outputs for row in parities), strict=True):
        cells = (f"{one.largest_difference:.2g} ({one.mean_difference:.2g})" for one in outputs)
        table.add_row(outputs[0].output, *cells)
    return table


def _auroc(defective: NDArray[np.bool_], ranking: NDArray[np.float64]) -> float | None:
    """Area under the ROC curve; None where only one kind is shown, or a score is no number."""
    if defective.all() or not defective.any() or not np.isfinite(ranking).all():
        return None
    return placements(ranking, defective).auroc


def _finite(value: np.floating) -> float:
    """Infinity for what is no number: JSON and comparisons know what to do with it."""
    return float(value) if np.isfinite(value) else float("inf")
