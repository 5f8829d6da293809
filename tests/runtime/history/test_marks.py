"""What people say of judged parts, and the rates that follow of it."""

import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.confidence import wilson
from core.datasets.remarks import Truth
from runtime.history.entry import Entry
from runtime.history.file import HistoryFile, add, clear
from runtime.history.marks import add_mark, marks, reviewed, tally
from runtime.parts.verdict import Verdict
from tests.runtime.part_pictures import thresholds


def write(folder: Path, verdicts: str, thresholds_id: str | None = None, first: int = 0) -> HistoryFile:
    """A history of parts, each with an id of its place: `.` OK, `x` NotOK."""
    file = HistoryFile(folder)
    entries = []
    for number, letter in enumerate(verdicts, first):
        verdict = Verdict.NOT_OK if letter == "x" else Verdict.OK
        event = {
            "id": f"part-{number}",
            "camera": "top",
            "thresholds_id": thresholds_id or thresholds().id,
            "verdict": {"code": int(verdict)},
        }
        entry = Entry(f"part-{number}", 1.8e9 + number, "top", verdict, 0.1, None, None, None, None)
        entries.append((entry, json.dumps(event).encode()))
    with file.writing() as database, database:
        add(database, entries)
        tally(database, (("top", thresholds_id or thresholds().id, entry.verdict) for entry, _body in entries))
    return file


def test_the_later_mark_of_a_part_counts_and_it_outlives_its_event(tmp_path: Path) -> None:
    file = write(tmp_path, "x.")
    first = add_mark(file, "part-0", Truth.BAD, "Ada", "")
    second = add_mark(file, "part-0", Truth.GOOD, "Grace", "a hair on the lens")
    assert first is not None
    assert second is not None
    assert first.id != second.id
    assert add_mark(file, "part-9", Truth.GOOD, "Ada", "") is None
    with file.writing() as database, database:
        clear(database, 2)
    (kept,) = marks(file)
    assert kept == second
    assert (kept.was, kept.by, kept.note) == (Truth.GOOD, "Grace", "a hair on the lens")
    assert reviewed(file, "top", thresholds()).false_rejects.found == 1


def test_false_rejects_are_told_of_good_parts_and_misses_of_bad_ones(tmp_path: Path) -> None:
    file = write(tmp_path, "x" * 10 + "." * 90)
    for number in range(10):
        add_mark(file, f"part-{number}", Truth.GOOD if number < 2 else Truth.BAD, "Ada", "")
    add_mark(file, "part-50", Truth.BAD, "Ada", "came back from the customer")
    found = reviewed(file, "top", thresholds())
    assert (found.rejected, found.looked_at, found.promised) == (10, 10, 0.01)
    assert (found.false_rejects.found, found.false_rejects.parts) == (2, 2 + 89)
    assert found.false_rejects.interval == wilson(2, 91)
    assert (found.misses.found, found.misses.parts) == (1, 1 + 8)


def test_who_looks_at_half_of_the_rejects_has_seen_half_of_the_line(tmp_path: Path) -> None:
    file = write(tmp_path, "x" * 10 + "." * 90)
    for number in range(5):
        add_mark(file, f"part-{number}", Truth.GOOD, "Ada", "")
    found = reviewed(file, "top", thresholds()).false_rejects
    assert (found.found, found.parts) == (5, 5 + 45)


def test_parts_that_other_thresholds_judged_say_nothing_of_these(tmp_path: Path) -> None:
    file = write(tmp_path, "x" * 4 + "." * 40, thresholds_id="others")
    write(tmp_path, "..", first=100)
    add_mark(file, "part-0", Truth.GOOD, "Ada", "")
    found = reviewed(file, "top", thresholds())
    assert (found.false_rejects.found, found.false_rejects.parts, found.rejected) == (0, 2, 0)


def test_without_a_history_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert marks(HistoryFile(tmp_path)) == []
    with pytest.raises(sqlite3.Error):
        reviewed(HistoryFile(tmp_path), "top", thresholds())


@given(st.integers(0, 500), st.integers(1, 1000))
def test_an_interval_holds_its_rate_and_narrows_with_the_parts(found: int, more: int) -> None:
    low, high = wilson(found, found + more)
    assert -1e-12 <= low - 1e-12 <= found / (found + more) <= high + 1e-12
    closer_low, closer_high = wilson(10 * found, 10 * (found + more))
    assert closer_high - closer_low < high - low
