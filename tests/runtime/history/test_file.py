"""The history's file: what is found in it, how fast, and what has to go."""

import itertools
import json
import sqlite3
import time
from collections import Counter
from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from runtime.history.entry import Entry, Kind, Wanted
from runtime.history.file import COLUMNS, HistoryFile, add, clear, count, held
from runtime.parts.verdict import Verdict

DAY_S = 86400
MANY = 100_000
LIMIT_S = 0.1
"""For one look at MANY parts."""


def entry(number: int) -> Entry:
    """One of a line of three cameras, a part a second; one in 25 is not passed."""
    verdict = Verdict.NOT_OK if number % 30 == 7 else Verdict.NOT_DECIDABLE if number % 150 == 9 else Verdict.OK
    return Entry(
        id=f"{number:036}",
        at_s=1.8e9 + number,
        camera=("top", "left", "right")[number % 3],
        verdict=verdict,
        margin=0.5 if verdict == Verdict.OK else -0.2,
        part=f"P-{number:07}" if number % 2 else None,
        job=f"job-{number // 5000}",
        file=None if number % 2 else f"shelf/{number:07}.png",
        picture=None if verdict == Verdict.OK else f"{verdict.word}/2027-01-15/{number:036}.jpg",
        recipe=None if number % 10 == 0 else "red" if number % 500 == 7 else "blue",
    )


def body(number: int) -> bytes:
    reason = {1: [], 2: ["tile_error"], 3: ["black"]}[entry(number).verdict]
    return json.dumps({"id": f"{number:036}", "verdict": {"reason": reason}, "filler": "x" * 2000}).encode()


def write(folder: Path, numbers: range) -> HistoryFile:
    file = HistoryFile(folder)
    with file.writing() as database, database:
        add(database, ((entry(number), body(number)) for number in numbers))
    return file


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return [entry(number) for number in range(MANY)]


@pytest.fixture(scope="module")
def many(entries: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> HistoryFile:
    file = HistoryFile(tmp_path_factory.mktemp("many"))
    with file.writing() as database, database:
        new = f"INSERT INTO events ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        database.executemany(new, (astuple(each)[:-1] for each in entries))
    return file


@pytest.mark.long
@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(Kind.ALL),
        Wanted(Kind.NOT_DECIDABLE, camera="right"),
        Wanted(camera="top", job="job-0"),
        Wanted(camera="nobody"),
        Wanted(recipe="blue"),
        Wanted(Kind.ALL, recipe="red"),
        Wanted(Kind.NOT_DECIDABLE, camera="left", recipe="blue", until_at_s=1.8e9 + 50_000),
        Wanted(Kind.ALL, recipe="green"),
        Wanted(Kind.ALL, part="P-0000001"),
        Wanted(Kind.ALL, part="shelf/00000"),
        Wanted(Kind.OK, since_at_s=1.8e9 + 10, until_at_s=1.8e9 + 60),
        Wanted(Kind.OK, camera="left", since_at_s=1.8e9, until_at_s=1.8e9 + 500, part="P-000", job="job-0"),
    ],
    ids=str,
)
def test_any_filter_of_many_parts_is_answered_at_once_with_the_newest_first(
    many: HistoryFile, entries: list[Entry], wanted: Wanted
) -> None:
    took_s = []
    for _ in range(3):  # a machine that pauses says nothing of ours
        started_s = time.perf_counter()
        found = many.find(wanted, 50)
        took_s.append(time.perf_counter() - started_s)
    expected = (each.id for each in reversed(entries) if fits(each, wanted))
    assert [each.id for each in found] == [*itertools.islice(expected, 50)]
    assert min(took_s) < LIMIT_S


def fits(each: Entry, wanted: Wanted) -> bool:
    names = [name for name in (each.part, each.file) if name is not None]
    return (
        wanted.kind in ({Kind.ALL, each.verdict.word} | ({Kind.REJECTS} if each.verdict != Verdict.OK else set()))
        and wanted.camera in (None, each.camera)
        and wanted.job in (None, each.job)
        and wanted.recipe in (None, each.recipe)
        and (wanted.since_at_s is None or each.at_s >= wanted.since_at_s)
        and (wanted.until_at_s is None or each.at_s < wanted.until_at_s)
        and (wanted.part is None or any(name.startswith(wanted.part) for name in names))
    )


def test_pages_and_neighbours_go_through_all_without_a_hole(tmp_path: Path) -> None:
    file, wanted = write(tmp_path, range(400)), Wanted(camera="left")
    everything = file.find(wanted, 1000)
    pages: list[Entry] = []
    while page := file.find(wanted, 3, pages[-1] if pages else None):
        pages += page
    assert pages == everything
    for newer, older in itertools.pairwise(everything):
        assert file.next_newer(wanted, older) == newer
    assert file.next_newer(wanted, everything[0]) is None


def test_an_event_comes_back_whole_by_its_id_and_one_that_is_judged_anew_replaces_the_old(tmp_path: Path) -> None:
    file = write(tmp_path, range(10))
    found = file.get(entry(7).id)
    assert found is not None
    assert found[1] == json.loads(body(7))
    assert file.reasons([found[0]]) == {entry(7).id: ["tile_error"]}
    write(tmp_path, range(7, 8))
    assert [int(each.id) for each in file.find(Wanted(Kind.ALL), 20)] == [*range(9, -1, -1)]
    assert file.get("no such id") is None
    with file.writing() as database:
        assert database.execute("SELECT COUNT(*) FROM bodies").fetchone() == (10,)


@settings(max_examples=15)
@example(text="%")
@given(text=st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_names_mean_themselves_whatever_is_in_them(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    usual = entry(7)
    assume(text not in (usual.camera, usual.job, usual.recipe) and not str(usual.part).startswith(text))
    file = HistoryFile(tmp_path_factory.mktemp("names"))
    odd = Entry("1", 0.0, text, Verdict.NOT_OK, None, text, text, text, None, text)
    with file.writing() as database, database:
        add(database, [(odd, b"{}"), (usual, b"{}")])
    for wanted in (
        Wanted(camera=text),
        Wanted(part=text),
        Wanted(job=text),
        Wanted(recipe=text),
        Wanted(part=text[:1], camera=text),
    ):
        assert [each.id for each in file.find(wanted, 5)] == ["1"]


def test_what_is_too_much_goes_the_oldest_ok_first(tmp_path: Path) -> None:
    file = write(tmp_path, range(300))
    ok = sum(entry(number).verdict == Verdict.OK for number in range(300))
    with file.writing() as database, database:
        clear(database, ok - 5)
        assert held(database) == 300 - ok + 5
    assert len(file.find(Wanted(Kind.OK), 9)) == 5
    with file.writing() as database, database:
        clear(database, 6)
    left = Counter(each.verdict for each in file.find(Wanted(Kind.ALL), 300))
    assert left == {Verdict.NOT_DECIDABLE: 1, Verdict.NOT_OK: 10}


def test_counts_add_up_over_shifts_and_jobs(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path)
    with file.writing() as database:
        for shift in ("06:00", "14:00"):
            for _ in range(3):
                with database:
                    count(database, {(shift, "top", "a", Verdict.OK): 5, (shift, "top", "", Verdict.NOT_OK): 1})
    assert file.of_shift("14:00") == {"top": Counter({Verdict.OK: 15, Verdict.NOT_OK: 3})}
    assert file.of_job("top", "a") == Counter({Verdict.OK: 30})
    assert file.of_job("top", "b") == Counter()


def test_a_history_from_before_there_were_recipes_is_gone_on_with(tmp_path: Path) -> None:
    file = write(tmp_path, range(20))
    with file.writing() as database:
        for old in ("DROP INDEX events_by_recipe", "DROP INDEX events_not_passed_by_recipe"):
            database.execute(old)
        database.execute("ALTER TABLE events DROP COLUMN recipe")
    write(tmp_path, range(20, 30))
    assert [int(each.id) for each in file.find(Wanted(Kind.ALL, recipe="blue"), 99)] == [*range(29, 20, -1)]
    assert len(file.find(Wanted(Kind.ALL), 99)) == 30


def test_where_there_is_no_history_that_is_said_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        HistoryFile(tmp_path).find(Wanted(), 5)
    assert list(tmp_path.iterdir()) == []
