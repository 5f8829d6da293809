"""The report: one self-contained HTML file of an evaluation, to send to a colleague."""

import base64
import html
import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from core.dataset import Frames
from training.checkpoint import Checkpoint
from training.contact_sheet import draw_contact_sheet

_WORST = 6

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430 }}
h1 {{ font-size: 1.5rem }} h2 {{ font-size: 1.1rem; margin-top: 2.2rem }}
table {{ border-collapse: collapse }} td {{ padding: .25rem 1.2rem .25rem 0; border-bottom: 1px solid #dde3ea }}
td + td {{ text-align: right; font-variant-numeric: tabular-nums }} img {{ max-width: 100% }} p {{ color: #51606f }}
</style></head><body><h1>{title}</h1>{body}</body></html>
"""


def render_report(
    checkpoint: Checkpoint,
    frames: Frames,
    ranking: NDArray[np.float64],
    defective: NDArray[np.bool_],
    metrics: dict[str, Any],
) -> str:
    """Render the table, ROC, histogram, worst misses and worst false rejects. ranking, defective (N,)."""
    settings, thresholds = checkpoint.settings, checkpoint.thresholds
    rows = "".join(
        f"<tr><td>{html.escape(name.replace('_', ' '))}</td><td>{_number(value)}</td></tr>"
        for name, value in metrics.items()
    )
    parts = [
        f"<p>Trained on {checkpoint.provenance['trained_on']} good pictures of {html.escape(settings.data)}. "
        f"Thresholds from {thresholds.parts} good pictures kept aside, for a false-reject rate of "
        f"{thresholds.false_reject_rate:.1%} (below {thresholds.false_reject_upper:.1%} with 95 % confidence).</p>",
        f"<table>{rows}</table>",
        "<h2>Scores</h2><p>The largest error over its threshold: a part is rejected above 1.</p>",
        _image(_draw_scores(ranking, defective), "histogram and ROC"),
    ]
    worst_first = np.argsort(ranking)
    misses = [int(i) for i in worst_first if defective[i] and ranking[i] <= 1][:_WORST]
    rejects = [int(i) for i in worst_first[::-1] if not defective[i] and ranking[i] > 1][:_WORST]
    for title, chosen in (("Worst misses", misses), ("Worst false rejects", rejects)):
        parts.append(f"<h2>{title}</h2>")
        parts.append(_image(draw_contact_sheet(checkpoint, frames, chosen), title) if chosen else "<p>None.</p>")
    return _PAGE.format(title=html.escape(f"{settings.name} on {metrics['data']}"), body="".join(parts))


def _draw_scores(ranking: NDArray[np.float64], defective: NDArray[np.bool_]) -> Figure:
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    histogram, roc = figure.subplots(1, 2, width_ratios=(1.8, 1))
    bins = np.geomspace(max(ranking.min(), 1e-3) * 0.95, ranking.max() * 1.05, 50)
    for members, colour, label in ((~defective, "#2f7d4f", "good"), (defective, "#c0392b", "defective")):
        if members.any():
            histogram.hist(ranking[members], bins=bins, color=colour, alpha=0.6, label=f"{label} ({members.sum()})")
    histogram.axvline(1, color="black", linestyle="--", label="threshold")
    histogram.set(xscale="log", xlabel="largest error / threshold", ylabel="parts")
    histogram.legend()
    if defective.any() and not defective.all():
        false_rejects, found, _ = roc_curve(defective, ranking)
        roc.plot(false_rejects, found, color="#1f4e79")
        roc.plot(
            (ranking[~defective] > 1).mean(), (ranking[defective] > 1).mean(), "o", color="black", label="threshold"
        )
        roc.legend()
    roc.set(xlabel="good parts rejected", ylabel="defective parts found", xlim=(-0.01, 1), ylim=(0, 1.01))
    return figure


def _image(figure: Figure, alternative: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alternative)}" src="data:image/png;base64,{encoded}">'


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))
