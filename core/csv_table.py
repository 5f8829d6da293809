"""CSV tables, as every command writes them: the first line names the columns, and each ends with a line feed."""

import csv
from collections.abc import Iterable, Sequence
from typing import TextIO

from core.printable import printable


def write_rows(file: TextIO, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write `columns` and then `rows`, each in their order, as they come. `file` was opened with `newline=""`.

    Text of bytes that are not UTF-8, as the name of a file may be, is written out.
    """
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows([printable(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
