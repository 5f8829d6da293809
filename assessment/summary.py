"""The summary: an evaluation's figures on the terminal."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from assessment.report import figure_rows, kind_table, what_if_table


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print the figures, the table by kind of part, and what other thresholds would give."""
    console = Console()
    title = f"{metrics['data']}: {metrics['good']} good, {metrics['defective']} defective"
    console.print(_table(("measure", "value (95 % confidence)"), figure_rows(metrics), title))
    console.print(_table(*kind_table(metrics), "by kind of part"))
    console.print(_table(*what_if_table(metrics), "what if"))
    if not metrics["defective"]:
        console.print("no defective pictures here: misses and AUROC cannot be measured", soft_wrap=True)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], title: str) -> Table:
    table = Table(*head, title=title)
    for row in rows:
        table.add_row(*row)
    return table
