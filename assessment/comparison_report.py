"""The report of a comparison: one self-contained HTML file, with what changes verdict shown as both models see it."""

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assessment.comparison import Comparison, Judged, figure_rows
from assessment.metrics import NO_DEFECTIVE
from assessment.page import beside, folded, glossary, page, table
from assessment.part_view import draw_error_map, enlarged, read_view
from assessment.results import REPORT
from core.datasets.dataset import Sample
from core.files import common_folder, write_whole
from core.printable import printable

_LONGEST_PX = 360
_NOT_TOLD = {"Pixel AUROC, AUPRO", "Balanced accuracy", "Suspect", "Judged by a decoder that has not seen it"}
"""Words of an evaluation's report alone."""


def render_comparison(comparison: Comparison, names: Sequence[str], data: str) -> str:
    """Render both models' figures, and every picture of which the verdicts differ or both are wrong."""
    rejected, defective = comparison.scores > 1, comparison.defective
    wrong = rejected != defective
    differ = rejected[0] != rejected[1]
    groups = (
        ("Better now", wrong[0] & ~wrong[1], "the verdict is right now, and was not"),
        ("Worse now", ~wrong[0] & wrong[1], "the verdict was right, and is not any more"),
        ("Missed by both", ~differ & wrong[1] & defective, "defective, and passed by both"),
        ("Rejected by both", ~differ & wrong[1] & ~defective, "good, and rejected by both"),
    )
    folder = common_folder(sample.path for sample in comparison.samples)
    body = [
        f"<p>{len(defective)} pictures: {(~defective).sum()} good, {defective.sum()} defective. "
        f"The verdicts differ on {len(comparison.differing)} of them.</p>",
        *(f"<p>{html.escape(warning)}</p>" for warning in comparison.warnings(names)),
        table(("", *names, "difference"), figure_rows(comparison)),
        "" if defective.any() else f"<p>{html.escape(NO_DEFECTIVE)}</p>",
        glossary(_NOT_TOLD | (set() if defective.any() else {"AUROC", "Miss"})),
        f"<h2>Parts</h2><p>Named by where they lie in {html.escape(printable(folder))}.</p>",
        *(_group(comparison, names, folder, title, what, np.flatnonzero(chosen)) for title, chosen, what in groups),
    ]
    return page(f"{names[0]} and {names[1]} on {data}", body)


def save_comparison(comparison: Comparison, names: Sequence[str], data: str, output: Path) -> Path:
    """Write the report into the folder `output`, and give its path. Raises OSError."""
    report = output / REPORT
    write_whole(report, render_comparison(comparison, names, data).encode(errors="backslashreplace"))
    return report


def _group(
    comparison: Comparison, names: Sequence[str], folder: Path, title: str, what: str, chosen: NDArray[np.int64]
) -> str:
    if not len(chosen):
        return f"<p>{title}: none.</p>"
    ranking = comparison.scores
    order = chosen[np.argsort(-np.abs(np.log(np.maximum(ranking[1], 1e-9) / np.maximum(ranking[0], 1e-9)))[chosen])]
    cards = [_card(comparison, names, folder, int(i)) for i in order]
    labels = [f"{ranking[0, i]:.2f} and {ranking[1, i]:.2f}" for i in order]
    return folded(f"{title}: {len(chosen)} ({what})", cards, labels, is_open=title.endswith("now"))


def _card(comparison: Comparison, names: Sequence[str], folder: Path, i: int) -> str:
    sample = comparison.samples[i]
    images = [("picture", read_view(sample, comparison.models[1].input, _LONGEST_PX))]
    for name, model, score in zip(names, comparison.models, comparison.scores[:, i], strict=True):
        images.append((f"{name}: {'NotOK' if score > 1 else 'OK'} {score:.2f}", _error_map(model, sample, i)))
    return beside(images, f"{sample.kind}: {printable(sample.whole_path.relative_to(folder))}")


def _error_map(model: Judged, sample: Sample, i: int) -> NDArray[np.uint8]:
    """Draw what a model says of the picture, at the shape of what it sees of it."""
    shape = enlarged(read_view(sample, model.input, _LONGEST_PX).shape, _LONGEST_PX)
    return draw_error_map(model.maps[i], model.errors[i], model.thresholds, model.grid, shape)
