"""Tables: all are written by one."""

import re
from io import StringIO
from pathlib import Path

from core.csv_table import write_rows

ROOT = Path(__file__).parents[2]


def test_lines_end_alike_and_what_a_table_cannot_hold_is_quoted() -> None:
    file = StringIO(newline="")
    write_rows(file, ["file", "score"], ([name, 0.5] for name in ("a.png", 'a,"\n.png')))
    assert file.getvalue() == 'file,score\na.png,0.5\n"a,""\n.png",0.5\n'


def test_names_that_are_no_text_are_written_out() -> None:
    file = StringIO(newline="")
    write_rows(file, ["file", "reason"], [["\udcff.png", "\udcff.png: not a whole picture."]])
    assert file.getvalue().encode() == b"file,reason\n\\udcff.png,\\udcff.png: not a whole picture.\n"


def test_no_command_writes_a_table_by_another_way() -> None:
    rooms = (path.parent for path in ROOT.glob("*/__init__.py"))
    sources = (path for room in rooms for path in room.rglob("*.py"))
    writing = [path for path in sources if re.search(r"csv\.(writer|DictWriter)", path.read_text(encoding="utf-8"))]
    assert writing == [ROOT / "core" / "csv_table.py"]
