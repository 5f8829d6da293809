"""The outbox on a disk that errs, beside programs that hold it, under several names, and with a clock that jumps."""

import json
import logging
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import OutboxError
from runtime.outbox import file as outbox_file
from runtime.outbox import outbox as outbox_module
from runtime.outbox.file import holders
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import NewEvent
from runtime.outbox.schema import count
from runtime.outbox.settings import OutboxSettings
from runtime.parts.verdict import Verdict
from tests.runtime.outbox.test_outbox import bodies, gaps, letter, told
from tests.runtime.scratch import scratch

OLD_SCHEMA = """
CREATE TABLE events (position INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, camera TEXT NOT NULL,
    verdict INTEGER NOT NULL, stored_at_s REAL NOT NULL, body BLOB NOT NULL);
CREATE INDEX events_by_verdict ON events (verdict, position);
"""


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement, values)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", b'{"seq": 2, "verdict": "OK"}'),
        ("body", 0),
        ("topic", "p/camera/b/result"),
        ("topic", b"\xff\xfe"),
        ("camera", "z"),
        ("verdict", 1),
        ("stored_s", -1e9),
        ("digest", b"12345678"),
    ],
)
def test_a_row_that_comes_back_changed_is_told_as_a_gap_and_never_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, value: object
) -> None:
    bounds = OutboxSettings(path=tmp_path / "box.sqlite")
    outbox = Outbox(bounds)
    outbox.add([letter(number, Verdict.NOT_OK) for number in (1, 2, 3)])
    outbox.close()
    change(bounds.path, f"UPDATE events SET {column} = ? WHERE position = 2", value)  # noqa: S608
    outbox = Outbox(bounds)
    assert (bodies(outbox), gaps(outbox)) == ([1, 3], [(2, 2)])
    assert outbox.depth == 3
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "is not sent" in caplog.text
    outbox.remove(outbox.read(0, 10))
    assert outbox.depth == 0
    outbox.close()
    with closing(sqlite3.connect(bounds.path)) as database:
        assert database.execute("SELECT position FROM damaged").fetchall() == [(2,)]


def test_what_waits_is_counted_once_however_many_rows_come_back_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may give back thousands, and whoever judges waits meanwhile."""
    bounds = OutboxSettings(path=tmp_path / "box.sqlite")
    outbox = Outbox(bounds)
    outbox.add([letter(number) for number in range(10)])
    outbox.begin()
    change(bounds.path, "UPDATE events SET body = x'00' WHERE position IN (2, 3, 7)")
    change(bounds.path, "UPDATE events SET body = x'00', gap = x'00' WHERE position = 5")
    counted = list[object]()
    monkeypatch.setattr(outbox_module, "count", lambda database: (counted.append(database), count(database))[1])
    assert (bodies(outbox), len(gaps(outbox))) == ([0, 3, 5, 7, 8, 9], 3)
    assert (outbox.depth, len(counted)) == (9, 1)
    outbox.close()


def test_where_not_even_the_number_is_left_the_rest_goes_on(tmp_path: Path) -> None:
    bounds = OutboxSettings(path=tmp_path / "box.sqlite")
    outbox = Outbox(bounds)
    outbox.add([letter(number) for number in range(1, 1502)])
    outbox.close()
    change(bounds.path, "UPDATE events SET body = x'00', gap = x'00' WHERE position < 1501")
    outbox = Outbox(bounds)
    assert [json.loads(event.body)["seq"] for event in outbox.read(0, 1)] == [1501]
    assert outbox.depth == 1
    outbox.close()


@pytest.mark.parametrize("kept", [b"", b"\xff", b'12345678["boot", 1, 1e300]', 7, "text"])
def test_where_the_age_of_what_waits_is_damaged_nothing_looks_old(tmp_path: Path, kept: object) -> None:
    bounds = OutboxSettings(path=tmp_path / "box.sqlite")
    outbox = Outbox(bounds)
    outbox.add([letter(number) for number in (1, 2)])
    outbox.close()
    change(bounds.path, "UPDATE notes SET body = ? WHERE name = 'lifetime'", kept)
    outbox = Outbox(bounds)
    assert outbox.add([letter(3)]) == []
    assert bodies(outbox) == [1, 2, 3]
    outbox.close()


def test_a_damaged_row_at_the_bound_leaves_its_gap(tmp_path: Path) -> None:
    bounds = OutboxSettings(path=tmp_path / "box.sqlite", max_events=2)
    outbox = Outbox(bounds)
    outbox.add([letter(1), letter(2)])
    outbox.close()
    change(bounds.path, "UPDATE events SET body = x'ff' WHERE position = 1")
    outbox = Outbox(bounds)
    assert outbox.add([letter(3, Verdict.NOT_OK)]) == [("a", Verdict.OK)]
    assert (bodies(outbox), gaps(outbox)) == ([2, 3], [(1, 1)])
    outbox.close()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), count=st.integers(1, 12))
def test_whatever_byte_is_flipped_what_is_sent_was_stored(data: st.DataObject, count: int) -> None:
    """A flip in SQLite's own pages may be told by it, and then all stays where it is; nothing else is ever given."""
    with scratch() as folder:
        bounds = OutboxSettings(path=Path(folder) / "box.sqlite")
        outbox = Outbox(bounds)
        outbox.add([letter(number, Verdict.NOT_OK) for number in range(1, count + 1)])
        outbox.close()
        content = bytearray(bounds.path.read_bytes())
        first = content.find(b"p/camera/a/result")
        place = data.draw(st.integers(first, len(content) - 1) | st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
        bounds.path.write_bytes(content)
        logging.disable(logging.ERROR)
        try:
            with closing(Outbox(bounds)) as outbox:
                events = told(outbox)
        except OutboxError:
            return
        finally:
            logging.disable(logging.NOTSET)
        whole = {bytes(letter(number).body) for number in range(1, count + 1)}
        for event in events:
            assert "first_seq" in event or json.dumps(event).ljust(110).encode() in whole


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["add", "remove", "crash"]), max_size=25))
def test_a_crash_at_any_point_leaves_what_was_added_and_knows_its_causes(steps: list[str]) -> None:
    """A crash is a copy of the files as they are, the log of writes included, opened by another process."""
    with scratch() as folder:
        path = Path(folder) / "0" / "box.sqlite"
        outbox, added, removed, number = Outbox(OutboxSettings(path=path)), 0, set[int](), 0
        for step in [*steps, "crash"]:
            if step == "add":
                added += 1
                event = letter(added)
                outbox.add([NewEvent(event.topic, event.camera, event.verdict, event.body, b"%d" % added)])
            elif step == "remove" and (first := outbox.read(0, 1)):
                outbox.remove(first)
                removed.add(json.loads(first[0].body)["seq"])
            elif step == "crash":
                number += 1
                copied = Path(folder) / str(number)
                shutil.copytree(path.parent, copied)
                outbox.close()
                path = copied / "box.sqlite"
                outbox = Outbox(OutboxSettings(path=path))
            assert set(bodies(outbox)) == set(range(1, added + 1)) - removed
            assert all(outbox.knows(b"%d" % seq) for seq in range(1, added + 1))
        assert not outbox.knows(b"another")
        outbox.close()


def test_a_lock_of_another_program_is_waited_for_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_file, "BUSY_S", 0.05)
    outbox = Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))
    with closing(sqlite3.connect(tmp_path / "box.sqlite", check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = threading.Event()

        def add() -> None:
            outbox.add([letter(1)])
            done.set()

        adding = threading.Thread(target=add)
        adding.start()
        assert not done.wait(0.5)
        other.rollback()
        adding.join(60)
    assert done.is_set()
    assert bodies(outbox) == [1]
    assert "locked by another program, waiting" in caplog.text
    assert "move" not in caplog.text
    outbox.close()


def test_a_lock_that_does_not_end_is_told_with_who_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_file, "BUSY_S", 0.05)
    monkeypatch.setattr(outbox_file, "LOCKED_PATIENCE_S", 0.1)
    outbox = Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))
    with closing(sqlite3.connect(tmp_path / "box.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutboxError, match="end that program. What is stored stays"):
            outbox.add([letter(1)])
    outbox.add([letter(2)])
    assert bodies(outbox) == [2]
    outbox.close()


def test_of_locks_that_the_kernel_does_not_tell_a_command_is_named(tmp_path: Path) -> None:
    assert holders(tmp_path / "box.sqlite") == f"another program (`fuser -v {tmp_path}/box.sqlite` names it)"


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_the_same_file_by_another_name_is_not_shared(tmp_path: Path, link: object) -> None:
    assert callable(link)
    outbox = Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))
    link(tmp_path / "box.sqlite", tmp_path / "other.sqlite")
    with pytest.raises(OutboxError, match="another run-inspection uses it"):
        Outbox(OutboxSettings(path=tmp_path / "other.sqlite"))
    outbox.close()


def test_an_outbox_of_an_older_version_loses_nothing_and_what_waits_keeps_its_age(tmp_path: Path) -> None:
    path, now_at_s = tmp_path / "box.sqlite", 1_800_000_000.0
    # Stored when the clock was not set, longer ago than events may wait, a while ago, and in a time to come.
    stored_at_s = (1.0, now_at_s - 1001.0, now_at_s - 400.0, now_at_s + 5000.0)
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(OLD_SCHEMA)
        for number, at_s in enumerate(stored_at_s, start=1):
            event = letter(number, (Verdict.NOT_OK, Verdict.OK, Verdict.NOT_OK, Verdict.NOT_OK)[number - 1])
            database.execute(
                "INSERT INTO events (topic, camera, verdict, stored_at_s, body) VALUES (?, ?, ?, ?, ?)",
                (event.topic, event.camera, event.verdict, at_s, event.body),
            )
        database.execute("INSERT INTO events VALUES (5, 't', 'a', 1, 1.0, x'ff')")
    outbox = Outbox(OutboxSettings(path=path, max_age_s=1000.0), lambda: now_at_s, lambda: ("boot", 70.0))
    assert [outbox.age_s(event) for event in outbox.read(0, 9)] == [0.0, 1001.0, 400.0, 0.0]
    assert outbox.add([letter(6)]) == [("a", Verdict.OK)]
    assert (bodies(outbox), gaps(outbox)) == ([1, 3, 4, 6], [(2, 2)])
    outbox.close()


@pytest.mark.parametrize(("lived_s", "age_s"), [(800.0, 900.0), ("flipped", 0.0)])
def test_the_age_goes_on_that_an_older_version_kept_in_a_table(tmp_path: Path, lived_s: object, age_s: float) -> None:
    bounds = OutboxSettings(path=tmp_path / "box.sqlite")
    outbox = Outbox(bounds, machine=lambda: ("boot", 70.0))
    outbox.add([letter(1)])
    outbox.close()
    change(bounds.path, "DELETE FROM notes")
    change(bounds.path, "CREATE TABLE lifetime (one INTEGER PRIMARY KEY, boot TEXT, since_boot_s REAL, lived_s REAL)")
    change(bounds.path, "INSERT INTO lifetime VALUES (0, 'boot', 70.0, ?)", lived_s)
    for _ in range(2):
        outbox = Outbox(bounds, machine=lambda: ("boot", 170.0))
        assert outbox.age_s(outbox.read(0, 1)[0]) == age_s
        outbox.close()


def test_a_clock_that_is_put_right_gives_up_nothing(tmp_path: Path) -> None:
    now_s, at_s = [50.0], [1_577_836_800.0]
    bounds = OutboxSettings(path=tmp_path / "box.sqlite", max_age_s=60.0)

    def opened() -> Outbox:
        return Outbox(bounds, lambda: at_s[0], lambda: ("boot", now_s[0]))

    outbox = opened()
    outbox.add([letter(number, Verdict.NOT_OK) for number in (1, 2)])
    at_s[0] += 6 * 365 * 86400
    assert outbox.add([letter(3)]) == []
    outbox.close()
    at_s[0] -= 40 * 86400
    now_s[0] += 30.0
    outbox = opened()
    assert outbox.age_s(outbox.read(0, 1)[0]) == 30.0
    assert outbox.add([letter(4)]) == []
    now_s[0] += 31.0
    assert len(outbox.add([letter(5)])) == 3
    outbox.close()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "box.sqlite"
    {"pipe": os.mkfifo, "device": lambda at: at.symlink_to("/dev/null"), "folder": Path.mkdir}[kind](path)
    with pytest.raises(OutboxError, match="cannot be opened .it is no file"):
        Outbox(OutboxSettings(path=path))
