"""The score table: a line a picture with its verdict, score and errors, as CSV or JSON values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from core.csv_table import write_rows
from core.files import whole
from core.pictures.tiles import output_names
from core.printable import printable

Row = dict[str, Any]
"""`file` (see `whole`), what else is known of the picture, `verdict`, `score`, `image` and `tile_1_1` onwards."""


def score_row(path: Path, verdict: str, score: float | None, errors: Sequence[float], tiles: int, **more: str) -> Row:
    """Lay out one picture. Without errors (K + 1, the image's first) the columns are there and None."""
    names = [name.replace(" ", "_").replace(",", "_") for name in output_names(1 + tiles)]
    values: list[float | None] = [*map(float, errors)] or [None] * len(names)
    return {
        "file": printable(whole(path)),
        **more,
        "verdict": verdict,
        "score": score,
        **dict(zip(names, values, strict=True)),
    }


def write_csv(rows: Sequence[Row], file: TextIO) -> None:
    """Write the rows, the first of which names the columns."""
    write_rows(file, list(rows[0]), (row.values() for row in rows))
