"""The outbox: survives, keeps order, stays within its bounds and gives up the least important first."""

import json
import sqlite3
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.errors import OutboxError
from runtime.outbox.outbox import DISCARD_ORDER, Outbox
from runtime.outbox.row import NewEvent
from runtime.outbox.settings import OutboxSettings
from runtime.parts.verdict import Verdict
from tests.runtime.scratch import scratch

SIZE = 110
"""Bytes of a small event."""


def letter(seq: int, verdict: Verdict = Verdict.OK, size: int = SIZE, camera: str = "a", boot: str = "b") -> NewEvent:
    """An event of `size` bytes, with the keys that a gap takes over from it."""
    body = {"source": camera, "boot_id": boot, "station": "s", "camera": camera, "simulated": False, "seq": seq}
    return NewEvent(f"p/camera/{camera}/result", camera, verdict, json.dumps(body).ljust(size).encode())


def told(outbox: Outbox) -> list[dict[str, Any]]:
    return [json.loads(stored.body) for stored in outbox.read(0, 10**6)]


def bodies(outbox: Outbox) -> list[int]:
    return [event["seq"] for event in told(outbox) if "seq" in event]


def gaps(outbox: Outbox) -> list[tuple[int, int]]:
    return [(event["first_seq"], event["last_seq"]) for event in told(outbox) if "first_seq" in event]


def test_events_survive_closing_in_order_and_leave_when_removed(tmp_path: Path) -> None:
    bounds = OutboxSettings(path=tmp_path / "deep" / "box.sqlite")
    outbox = Outbox(bounds)
    outbox.add([letter(1), letter(2)])
    outbox.add([letter(3)])
    outbox.close()
    outbox = Outbox(bounds)
    assert (bodies(outbox), outbox.depth) == ([1, 2, 3], 3)
    outbox.remove(outbox.read(0, 1))
    outbox.add([letter(4)])
    assert (bodies(outbox), outbox.depth) == ([2, 3, 4], 3)
    outbox.close()


def test_reading_goes_on_behind_a_position(tmp_path: Path) -> None:
    outbox = Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))
    outbox.add([letter(number) for number in range(5)])
    first = outbox.read(0, 2)
    assert [json.loads(stored.body)["seq"] for stored in outbox.read(first[-1].position, 2)] == [2, 3]
    assert outbox.newest == outbox.read(0, 10)[-1].position
    outbox.close()


def test_a_position_is_never_given_twice(tmp_path: Path) -> None:
    bounds = OutboxSettings(path=tmp_path / "box.sqlite")
    outbox = Outbox(bounds)
    outbox.add([letter(1)])
    used = outbox.newest
    outbox.remove(outbox.read(0, 1))
    outbox.close()
    outbox = Outbox(bounds)
    outbox.add([letter(2)])
    assert outbox.newest > used
    outbox.close()


@settings(max_examples=40, deadline=None)
@given(
    verdicts=st.lists(st.sampled_from(list(Verdict)), max_size=60),
    per_commit=st.integers(1, 9),
    max_events=st.integers(1, 30),
    max_bytes=st.integers(SIZE, 50 * SIZE),
)
def test_bounds_hold_and_what_goes_is_the_oldest_of_the_least_important(
    verdicts: list[Verdict], per_commit: int, max_events: int, max_bytes: int
) -> None:
    with scratch() as folder:
        bounds = OutboxSettings(path=Path(folder) / "box.sqlite", max_events=max_events, max_bytes=max_bytes)
        outbox = Outbox(bounds)
        kept: list[tuple[int, Verdict]] = []
        gone = 0
        for start in range(0, len(verdicts), per_commit):
            new = list(enumerate(verdicts, 1))[start : start + per_commit]
            gone += len(outbox.add([letter(number, verdict) for number, verdict in new]))
            kept += new
            for verdict in DISCARD_ORDER:
                while min(max_events, max_bytes // SIZE) < len(kept) and verdict in [one for _, one in kept]:
                    kept.remove(next(one for one in kept if one[1] == verdict))
            assert bodies(outbox) == [number for number, _ in kept]
            assert outbox.depth == len(told(outbox))
        assert gone == len(verdicts) - len(kept)
        whole = [(number, number) for number, _ in kept] + gaps(outbox)
        assert [seq for first, last in sorted(whole) for seq in range(first, last + 1)] == [
            number for number, _ in enumerate(verdicts, 1)
        ]
        assert all(one[1] + 1 < other[0] for one, other in pairwise(gaps(outbox)))
        outbox.close()


@settings(max_examples=60, deadline=None)
@example(["ok", "ok", "send", "refuse", "ok", "ok", "ok", "acknowledge"])
@given(
    st.lists(
        st.sampled_from(["ok", "bad", "other", "send", "refuse", "acknowledge", "reconnect", "restart"]), max_size=80
    )
)
def test_every_seq_reaches_a_reader_as_event_or_gap_in_order_whatever_happens(steps: list[str]) -> None:
    with scratch() as folder:
        bounds = OutboxSettings(path=Path(folder) / "box.sqlite", max_events=3)
        outbox, position, under_way = Outbox(bounds), 0, []
        seq = {"a": 0, "c": 0}
        received: dict[str, list[tuple[int, int]]] = {"a": [], "c": []}

        def send(limit: int) -> int:
            stored = outbox.read(position, limit)
            under_way.extend(stored)
            return stored[-1].position if stored else position

        def acknowledge() -> None:
            for stored in under_way:
                event = json.loads(stored.body)
                span = (event.get("first_seq", event.get("seq")), event.get("last_seq", event.get("seq")))
                received[event["camera"]].append(span)
            outbox.remove(under_way)
            under_way.clear()

        for step in [*steps, "reconnect", "send all", "acknowledge"]:
            if step in ("ok", "bad", "other"):
                camera = "c" if step == "other" else "a"
                seq[camera] += 1
                verdict = Verdict.NOT_OK if step == "bad" else Verdict.OK
                outbox.add([letter(seq[camera], verdict, camera=camera)])
            elif step.startswith("send"):
                position = send(2 if step == "send" else 1000)
            elif step == "acknowledge":
                acknowledge()
            elif step == "refuse":  # for itself: it stays, and is read over the next connection
                del under_way[:1]
            else:
                position = 0
                under_way.clear()
                if step == "restart":
                    outbox.close()
                    outbox = Outbox(bounds)
        assert outbox.depth == 0
        for camera, last in seq.items():
            named = {number for first, final in received[camera] for number in range(first, final + 1)}
            assert named == set(range(1, last + 1))
            events = [first for first, final in received[camera] if first == final]
            assert "refuse" in steps or events == sorted(events)
        outbox.close()


def test_a_gap_says_whose_and_which(tmp_path: Path) -> None:
    outbox = Outbox(OutboxSettings(path=tmp_path / "box.sqlite", max_events=1))
    outbox.add([letter(1), letter(1, camera="c"), letter(2), letter(3), letter(1, boot="later")])
    spans = {}
    for stored in outbox.read(0, 10):
        event = json.loads(stored.body)
        spans[stored.topic, event["boot_id"]] = event.get("first_seq"), event.get("last_seq")
    outbox.close()
    assert spans == {
        ("p/camera/a/gap", "b"): (1, 3),
        ("p/camera/c/gap", "b"): (1, 1),
        ("p/camera/a/result", "later"): (None, None),
    }


def test_events_grow_too_old(tmp_path: Path) -> None:
    now_s = [1000.0]
    outbox = Outbox(OutboxSettings(path=tmp_path / "box.sqlite", max_age_s=60.0), machine=lambda: ("boot", now_s[0]))
    outbox.add([letter(1, Verdict.NOT_OK), letter(2)])
    now_s[0] += 61
    assert sorted(outbox.add([letter(3)])) == [("a", Verdict.OK), ("a", Verdict.NOT_OK)]
    assert (bodies(outbox), gaps(outbox)) == ([3], [(1, 2)])
    outbox.close()


def test_two_processes_cannot_share_one(tmp_path: Path) -> None:
    bounds = OutboxSettings(path=tmp_path / "box.sqlite")
    outbox = Outbox(bounds)
    with pytest.raises(OutboxError, match="another run-inspection uses it"):
        Outbox(bounds)
    outbox.close()
    Outbox(bounds).close()


def test_a_file_that_is_no_outbox_is_refused(tmp_path: Path) -> None:
    (tmp_path / "box.sqlite").write_text("certainly no database" * 100)
    with pytest.raises(OutboxError, match=r"box\.sqlite: file is not a database"):
        Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))


def test_a_full_disk_is_told_and_nothing_stored_is_lost(tmp_path: Path) -> None:
    outbox = Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))
    outbox.add([letter(1)])
    outbox._adding.execute("PRAGMA max_page_count = 1")  # SQLite's own way to run out of space
    with pytest.raises(OutboxError, match="free space"):
        outbox.add([letter(number, size=2000) for number in range(100)])
    assert (bodies(outbox), outbox.depth) == ([1], 1)
    outbox.close()


def test_commits_are_flushed_to_disk(tmp_path: Path) -> None:
    outbox = Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))
    assert outbox._adding.execute("PRAGMA synchronous").fetchone() == (2,)
    outbox.close()
    with sqlite3.connect(tmp_path / "box.sqlite") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_a_trigger_s_events_are_known_when_all_are_stored_over_restarts_and_within_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = OutboxSettings(path=tmp_path / "box.sqlite")
    outbox = Outbox(bounds)
    outbox.add([replace(letter(1), answer=(b"trigger", "left"))])
    assert outbox.answers(b"trigger") == []  # of its other region nothing is on disk yet
    outbox.add([replace(letter(2), answer=(b"trigger", "right"), cause=b"trigger")])
    outbox.remove(outbox.read(0, 10))
    outbox.close()
    outbox = Outbox(bounds)
    assert outbox.answers(b"trigger") == ["left", "right"]
    monkeypatch.setattr("runtime.outbox.schema.ANSWERS_KEPT", 5)
    outbox.add([replace(letter(seq), answer=(b"%d" % seq, "other")) for seq in range(5)])
    assert outbox.answers(b"trigger") == []
    outbox.close()


def test_what_it_learns_is_known_over_runs(tmp_path: Path) -> None:
    bounds = OutboxSettings(path=tmp_path / "box.sqlite")
    outbox = Outbox(bounds)
    outbox.learn(b"dated")
    outbox.close()
    outbox = Outbox(bounds)
    assert outbox.knows(b"dated")
    assert not outbox.knows(b"date")
    outbox.close()
