"""The report: one self-contained HTML file of an evaluation, to send to a colleague."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from assessment.drawn_marks import MEANING, DrawnMarks, marks_table
from assessment.evaluation import Evaluation
from assessment.metrics import NO_DEFECTIVE, shares_above
from assessment.page import beside, chart, folded, glossary, page, table
from assessment.part_view import draw_error_map, enlarged, read_view
from core.files import common_folder
from core.printable import printable
from core.thresholds import parts_needed, ratios, scores
from training.detector.checkpoint import Checkpoint

_LONGEST_PX = 420
_FOUND = 12
"""Defects that were found, and good parts that passed, are shown up to so many, nearest to the threshold first."""
_FIGURES = {
    "miss_rate": "miss rate",
    "false_reject_rate": "false-reject rate",
    "false_reject_asked": "false-reject rate that was asked for",
    "suspects": "good pictures that stand apart",
    "auroc": "AUROC",
    "balanced_accuracy": "balanced accuracy",
    "max_balanced_accuracy": "balanced accuracy at the best threshold",
    "pixel_auroc": "pixel AUROC",
    "aupro": "AUPRO",
    "masks_vanished": "masks that mark nothing or cannot be used",
    "masks_cut_away": "defects that are mostly cut away, and not judged",
    "skipped": "pictures skipped",
    "images_per_second": "pictures a second, by PyTorch on this computer",
}
"""How metrics are called, what a line asks first before all others."""
_EXPLAINED = {
    "miss_rate": "Miss",
    "auroc": "AUROC",
    "pixel_auroc": "Pixel AUROC, AUPRO",
    "max_balanced_accuracy": "Balanced accuracy",
}
"""What the page calls these where it explains its words."""
_COUNTS = {"suspects", "masks_vanished", "masks_cut_away", "skipped"}
HOW_SMALL = "How small a mark is found"
OTHER_RATES = "What other false-reject rates would give"


def render_report(evaluation: Evaluation) -> str:
    """Render the figures, their charts, and every miss and false reject."""
    checkpoint, metrics = evaluation.checkpoint, evaluation.metrics
    ranking, defective = evaluation.scores, evaluation.defective
    calibrating = scores(checkpoint.calibration.errors, checkpoint.thresholds)
    parts = _Parts(evaluation)
    worst_first = np.argsort(ranking)
    misses = [int(i) for i in worst_first if defective[i] and ranking[i] <= 1]
    rejects = [int(i) for i in worst_first[::-1] if not defective[i] and ranking[i] > 1]
    found = [int(i) for i in worst_first if defective[i] and ranking[i] > 1][:_FOUND]
    passed = [int(i) for i in worst_first[::-1] if not defective[i] and ranking[i] <= 1][:_FOUND]
    body = [
        f"<p>{_origin(checkpoint)}</p>",
        f"<p>{_subject(metrics)}</p>",
        f"<p><strong>{more_rejected(metrics)}</strong></p>" if more_rejected(metrics) else "",
        table((), figure_rows(metrics)),
        glossary([word for name, word in _EXPLAINED.items() if metrics[name] is None]),
        '<h2>Scores</h2><p>A part is rejected above 1.</p><div class="charts">',
        chart(draw_scores(ranking, defective, calibrating), "histogram of the scores"),
        chart(_draw_roc(ranking, defective), "ROC") if defective.any() and not defective.all() else "",
        "</div>",
        "<h2>By kind of part</h2>" + table(*kind_table(metrics)),
        f"<h2>{OTHER_RATES}</h2><p>On these pictures. evaluate-model set-threshold sets such a rate, without "
        "training.</p>" + table(*what_if_table(metrics)),
        _drawn(evaluation.marks) if evaluation.marks else "",
        f"<h2>Parts</h2><p>Named by where they lie in {html.escape(printable(parts.folder))}.</p>",
        parts.folded(f"Misses: {len(misses)} of {metrics['defective']} defective", misses) if defective.any() else "",
        parts.folded(f"False rejects: {len(rejects)} of {metrics['good']} good", rejects),
        parts.folded(f"Defects found: the {len(found)} nearest to the threshold", found) if found else "",
        parts.folded(f"Good parts that passed: the {len(passed)} nearest to the threshold", passed) if passed else "",
    ]
    return page(f"{checkpoint.settings.name} on {metrics['data']}", body)


def _drawn(marks: Sequence[DrawnMarks]) -> str:
    by_kind: dict[str, list[DrawnMarks]] = {}
    for mark in marks:
        by_kind.setdefault(mark.kind, []).append(mark)
    cards = [
        beside(
            [(f"{mark.size:.0%}", mark.example_bgr_u8) for mark in of_kind],
            f"{kind}, and what is around it, as the model sees it",
        )
        for kind, of_kind in by_kind.items()
    ]
    found = table(*marks_table(mark.row() for mark in marks))
    return f"<h2>{HOW_SMALL}</h2><p>{MEANING}</p>{found}" + folded("One part with its marks", cards, list(by_kind))


def figure_rows(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Give the figures that there are by name, with their limits; what the pictures do not allow is left out."""
    rows = []
    for name, label in _FIGURES.items():
        value = metrics[name]
        if value is None or (name in _COUNTS and not value):
            continue
        form = _form(name)
        text = f"{value:{form}}"
        limits = metrics["intervals"].get(name)
        if limits:
            text += f" ({limits[0]:{form}} to {limits[1]:{form}})"
        rows.append((label, text))
    return rows


def _form(name: str) -> str:
    if name in _COUNTS:
        return "d"
    if name.startswith(("false_", "miss_")):
        return ".1%"
    return ".3g" if name == "images_per_second" else ".3f"


def kind_table(metrics: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the table by kind of part."""
    head: tuple[str, ...] = ("kind", "pictures", "rejected", "95 % confidence", "median score", "AUROC")
    rows: list[tuple[str, ...]] = [
        (
            row["kind"],
            str(row["pictures"]),
            f"{row['rejected']} ({row['rejected'] / row['pictures']:.0%})",
            "{:.0%} to {:.0%}".format(*row["rejected_interval"]),
            f"{row['median_score']:.2f}",
            "" if row["auroc"] is None else f"{row['auroc']:.3f}",
        )
        for row in metrics["kinds"]
    ]
    return (head, rows) if metrics["defective"] else (head[:-1], [row[:-1] for row in rows])


def what_if_table(metrics: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the table of other false-reject rates."""
    rows: list[tuple[str, ...]] = []
    for row in metrics["what_if"]:
        if "why_not" in row:
            needed = parts_needed(row["false_reject_asked"])
            rows.append((f"{row['false_reject_asked']:.0%}", f"needs {needed} good pictures or more", ""))
            continue
        shares = (_share(row["false_rejects"], row["good"]), _share(row["misses"], row["defective"]))
        rows.append((f"{row['false_reject_asked']:.0%}", *shares))
    head: tuple[str, ...] = ("false rejects asked", "good rejected here", "defective missed here")
    return (head, rows) if metrics["defective"] else (head[:-1], [row[:-1] for row in rows])


def _share(count: int, of: int) -> str:
    return f"{count} of {of} ({count / of:.1%})" if of else "none here"


def _origin(checkpoint: Checkpoint) -> str:
    thresholds = checkpoint.thresholds
    odd = (
        f" Left out because they stand apart: {thresholds.odd}; if these are good too, "
        f"up to about {thresholds.false_reject_with_odd:.1%} are rejected, below "
        f"{thresholds.false_reject_upper_with_odd:.1%}."
        if thresholds.odd
        else ""
    )
    return (
        f"The thresholds come from {thresholds.parts} good pictures, each judged by a decoder that has not seen it, "
        f"for a false-reject rate of {thresholds.false_reject_rate:.1%}: {thresholds.false_reject_expected:.1%} is "
        f"expected, below {thresholds.false_reject_upper:.1%} with 95 % confidence.{odd}"
    )


def more_rejected(metrics: dict[str, Any]) -> str:
    """Say that good pictures look other than those of the training, where clearly more are rejected than promised."""
    limits, promised = metrics["intervals"].get("false_reject_rate"), metrics["false_reject_upper"]
    if limits is None or limits[0] <= promised:
        return ""
    return (
        f"More good pictures are rejected here than the training promised (below {promised:.1%}): they look other than "
        "those it trained on. Were they filmed with another camera, lens, light or size, or on another day? Have such "
        "pictures among the good ones and train again, or film as before."
    )


def stand_apart(metrics: dict[str, Any]) -> str:
    """Say that some of the pictures set no threshold, where they do: what the training was asked does not hold here."""
    suspects = metrics["suspects"]
    if not suspects:
        return ""
    stand = "stands apart from the others and sets" if suspects == 1 else "stand apart from the others and set"
    return (
        f"{suspects} of the training's good pictures here {stand} no threshold, so that more may be rejected than was "
        "asked: look at its suspects.png, and remove the bad parts."
    )


def _subject(metrics: dict[str, Any]) -> str:
    known, good, defective = metrics["calibrating"], metrics["good"], metrics["defective"]
    judged = f"{good} good and {defective} defective" if defective else f"{good}"
    text = f"{judged} pictures were judged."
    if known:
        text += (
            f" {known} of them are of the training: their scores are by a decoder that has not seen them, their "
            "error maps by the whole model, which has."
        )
    if metrics["suspects"]:
        text += f" {stand_apart(metrics)}"
    if 0 < known < good:
        text += " If it trained on some of the others too, those scores are flattered."
    if not defective:
        text += f" {html.escape(NO_DEFECTIVE)}"
        text += " What marks on good parts say is below." if metrics["drawn_marks"] else ""
    if metrics["masks_vanished"]:
        text += (
            f" {metrics['masks_vanished']} masks mark nothing that the model sees, or cannot be used, and are left out "
            "of AUPRO."
        )
    if metrics["masks_cut_away"]:
        text += (
            f" Of {metrics['masks_cut_away']} defects most lies outside of what is cut out of the pictures (part_size, "
            "roi), where nothing is judged."
        )
    return text


class _Parts:
    """The pictures that the report shows."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self.folder = common_folder(sample.path for sample in evaluation.frames.samples)

    def folded(self, title: str, chosen: Sequence[int]) -> str:
        if not chosen:
            return f"<p>{title}.</p>"
        return folded(
            title, [self._card(i) for i in chosen], [f"score {self._evaluation.scores[i]:.2f}" for i in chosen]
        )

    def _card(self, i: int) -> str:
        of, sample = self._evaluation, self._evaluation.frames.samples[i]
        network, thresholds = of.checkpoint.settings.network, of.checkpoint.thresholds
        picture = read_view(sample, network.input, _LONGEST_PX)
        shown = draw_error_map(of.maps[i], of.errors[i], thresholds, network.grid, enlarged(picture.shape, _LONGEST_PX))
        share = ratios(of.errors[i], thresholds)
        k = int(share.argmax())
        row, column = divmod(k - 1, network.grid)
        where = "the whole picture" if k == 0 else f"the tile of row {row + 1}, column {column + 1}"
        name = printable(sample.whole_path.relative_to(self.folder))
        caption = f"{sample.kind}: {name}, score {of.scores[i]:.2f}"
        caption += f"; the largest error is {share[k]:.2f} times its threshold, in {where}"
        return beside((("", picture), ("", shown)), caption)


def draw_scores(ranking: NDArray[np.float64], defective: NDArray[np.bool_], calibrating: NDArray[np.float64]) -> Figure:
    """Draw how often scores occur; `defective` (N,) tells of the `ranking` (N,), `calibrating` (M,) are good ones."""
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    everything = np.concatenate([ranking, calibrating, [1.0]])
    bins = np.geomspace(max(everything.min(), 1e-3) * 0.95, everything.max() * 1.05, 40).tolist()
    for values, colour, label in (
        (ranking[~defective], "#2f7d4f", "good"),
        (ranking[defective], "#c0392b", "defective"),
    ):
        if len(values):
            axes.hist(values, bins=bins, color=colour, alpha=0.6, label=f"{label} ({len(values)})")
    axes.hist(calibrating, bins=bins, histtype="step", color="#1f4e79", label=f"good, training ({len(calibrating)})")
    axes.axvline(1, color="black", linestyle="--", label="threshold")
    axes.set(xscale="log", xlabel="score", ylabel="parts")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda score, _: f"{score:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, columnspacing=1)
    return figure


def _draw_roc(ranking: NDArray[np.float64], defective: NDArray[np.bool_]) -> Figure:
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    thresholds = np.concatenate([[np.inf], np.sort(ranking)[::-1], [-np.inf]])
    rejected, found = (shares_above(each, thresholds) for each in (ranking[~defective], ranking[defective]))
    axes.plot(rejected, found, color="#1f4e79")
    axes.plot((ranking[~defective] > 1).mean(), (ranking[defective] > 1).mean(), "o", color="black", label="threshold")
    axes.set(xlabel="good parts rejected", ylabel="defective parts found", xlim=(-0.01, 1), ylim=(0, 1.01))
    axes.legend()
    return figure
