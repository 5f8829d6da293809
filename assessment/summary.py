"""The summary: an evaluation's figures on the terminal."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from assessment.comparison import Comparison
from assessment.comparison import figure_rows as comparison_rows
from assessment.drawn_marks import marks_table
from assessment.metrics import NO_DEFECTIVE
from assessment.report import HOW_SMALL, OTHER_RATES, figure_rows, kind_table, more_rejected, stand_apart, what_if_table
from core.printable import printable


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print the figures, the table by kind of part, and what other thresholds would give."""
    console = Console()
    title = f"{metrics['data']}: {metrics['good']} good, {metrics['defective']} defective"
    console.print(_table(("measure", "value (95 % confidence)"), figure_rows(metrics), title))
    console.print(_table(*kind_table(metrics), "by kind of part"))
    console.print(_table(*what_if_table(metrics), OTHER_RATES.lower()))
    for told in (stand_apart(metrics), more_rejected(metrics)):
        if told:
            console.print(told, soft_wrap=True)
    if metrics["drawn_marks"]:
        console.print(_table(*marks_table(metrics["drawn_marks"]), HOW_SMALL.lower()))
        console.print(
            "1%: a hundredth of the picture's or the cut-out's shorter side; the report shows the marks", soft_wrap=True
        )
    if not metrics["defective"]:
        console.print(NO_DEFECTIVE, soft_wrap=True)


def print_what_if(rows: list[dict[str, Any]], defective: int) -> None:
    """Print what other false-reject rates would give on pictures, of which so many are defective; see `what_if`."""
    Console().print(_table(*what_if_table({"what_if": rows, "defective": defective}), OTHER_RATES.lower()))


def print_comparison(comparison: Comparison, names: Sequence[str], console: Console | None = None) -> None:
    """Print both models' figures, and the pictures of which their verdicts differ."""
    console = console or Console()
    defective, differing = comparison.defective, comparison.differing
    title = f"{(~defective).sum()} good, {defective.sum()} defective pictures"
    console.print(_table(("", *names, "difference"), comparison_rows(comparison), title))
    if not defective.any():
        console.print(NO_DEFECTIVE, soft_wrap=True)
    rows = []
    for i in differing:
        verdicts = (f"{'NotOK' if score > 1 else 'OK'} {score:.2f}" for score in comparison.scores[:, i])
        rows.append((printable(comparison.samples[i].path), comparison.samples[i].kind, *verdicts))
    title = f"the verdicts differ on {len(differing)} of {len(defective)} pictures"
    console.print(_table(("picture", "kind", *names), rows, title) if rows else title)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], title: str) -> Table:
    # Names are folded, not cut: their ends tell pictures and models apart.
    table = Table(*(Column(name, overflow="fold") for name in head), title=title)
    for row in rows:
        table.add_row(*row)
    return table
