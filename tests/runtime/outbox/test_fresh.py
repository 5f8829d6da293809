"""Fresh events: what is read from memory is what lies on the disk, in its order."""

import sqlite3
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.delivery.reading import Reading
from runtime.mqtt.refusals import Refusals
from runtime.outbox import fresh
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import StoredEvent
from runtime.outbox.settings import OutboxSettings
from runtime.parts.verdict import Verdict
from tests.runtime.outbox.test_outbox import letter
from tests.runtime.scratch import scratch

STEPS = st.lists(
    st.tuples(st.just("add"), st.lists(st.sampled_from([Verdict.OK, Verdict.NOT_OK]), max_size=5))
    | st.tuples(st.sampled_from(["remove", "reopen"]), st.lists(st.integers(0, 8), max_size=4)),
    max_size=25,
)


def on_disk(path: Path) -> list[StoredEvent]:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT position, topic, stored_s, body FROM events ORDER BY position").fetchall()
    return [StoredEvent(*row) for row in rows]


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, most=st.integers(1, 8), max_events=st.integers(3, 40))
def test_whoever_reads_is_given_what_the_disk_holds(
    steps: list[tuple[str, list[int]]], most: int, max_events: int
) -> None:
    """Behind any position, whatever was stored, given up, removed or opened again before."""
    with scratch() as folder:
        bounds = OutboxSettings(path=Path(folder) / "box.sqlite", max_events=max_events)
        outbox, seq, kept = Outbox(bounds), 0, fresh.MOST
        fresh.MOST = most
        try:
            for step, values in steps:
                if step == "add":
                    outbox.add([letter(seq + number, Verdict(each)) for number, each in enumerate(values, start=1)])
                    seq += len(values)
                elif step == "remove":
                    waiting = on_disk(bounds.path)
                    outbox.remove([waiting[at] for at in sorted({*values}) if at < len(waiting)])
                else:
                    outbox.close()
                    outbox = Outbox(bounds)
                stored = on_disk(bounds.path)
                for after in range(outbox.newest + 2):
                    behind = [event for event in stored if event.position > after]
                    assert outbox.read(after, 3) == behind[:3]
                assert outbox.read(0, 100, ["p/camera/a/gap"]) == [each for each in stored if "gap" not in each.topic]
                assert outbox.depth == len(stored)
        finally:
            fresh.MOST = kept
            outbox.close()


def test_who_is_up_to_date_reads_from_memory_and_who_is_not_from_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite"
    outbox = Outbox(OutboxSettings(path=path))
    outbox.add([letter(1)])
    outbox.close()
    outbox = Outbox(OutboxSettings(path=path))
    outbox.add([letter(2)])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM events")
    assert [event.position for event in outbox.read(1, 10)] == [2]
    assert outbox.read(0, 10) == []
    outbox.close()


def test_who_begins_with_the_oldest_reads_it_from_the_disk(tmp_path: Path) -> None:
    """So a row that was damaged while the broker was away is told, though it was whole in memory."""
    outbox = Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))
    outbox.add([letter(1), letter(2)])
    with closing(sqlite3.connect(tmp_path / "box.sqlite")) as database, database:
        database.execute("UPDATE events SET body = x'00' WHERE position = 2")
    reading = Reading(outbox, Refusals())
    assert [event.topic.rsplit("/", 1)[1] for event in reading.read(100, set())] == ["result", "gap"]
    outbox.close()
