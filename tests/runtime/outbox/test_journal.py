"""The journal: what the broker took, kept within its bound, and sent once more to an MES that asks."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from runtime.commands.command import Command
from runtime.commands.resend import resend
from runtime.delivery.resending import MOST_UNDER_WAY, Resending
from runtime.events.review import review
from runtime.outbox.journal import Journal
from runtime.outbox.row import StoredEvent
from tests.runtime.broker import Mosquitto
from tests.runtime.command import at, finish, folder, run_command, write_config
from tests.runtime.contract import PREFIX
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.waiting import WAIT_S


def stored(number: int, camera: str = "top", boot: str = "one") -> StoredEvent:
    told = {"seq": number, "boot_id": boot, "camera": camera, "capture_time": f"2026-11-23T22:05:{number:06.3f}Z"}
    return StoredEvent(number, f"p/camera/{camera}/result", 0.0, json.dumps(told).encode())


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "journal.sqlite", 20)) as made:
        yield made


def taken(again: Resending) -> list[int]:
    seqs = []
    while (message := again.take()) is not None:
        told = json.loads(message.payload)
        assert told["replayed"] is True
        seqs.append(told["seq"])
    return seqs


def test_it_keeps_the_newest_each_once_and_gives_them_in_order(journal: Journal) -> None:
    for number in range(1, 41):
        journal.keep([stored(number), stored(number)])
    journal.keep([stored(39)])
    again = Resending(journal)
    first = journal.since_seq("top", "one", 30)
    assert first is not None
    assert again.begin(first, None) == 11
    assert taken(again) == list(range(30, 41))
    assert (journal.oldest, journal.since_seq("top", "two", 1)) == ("2026-11-23T22:05:21.000Z", None)
    since = journal.since_time("2026-11-23T22:05:38.500Z")
    assert since is not None
    assert [json.loads(kept.body)["seq"] for kept in journal.read(since, 10**9, "top", 100)] == [39, 40]
    assert journal.read(since, 10**9, "side", 100) == []


def test_what_people_say_of_parts_is_kept_too_and_sent_by_the_time_when_they_said_it(journal: Journal) -> None:
    names = ("id", "source", "station", "part_id", "job_id", "simulated", "verdict", "thresholds_id")
    about = dict.fromkeys(names, "x")
    part = {**about, "camera": "top", "capture_time": "2026-11-23T22:05:01.000Z", "model": {"sha256": "0"}}
    said = [review(part, f"r{number}", "bad", "Ada", "", 1_800_000_000.0 + number) for number in (1, 2)]
    journal.keep([stored(1), *(StoredEvent(n, "p/camera/top/review", 0.0, body) for n, body in enumerate(said, 2))])
    first = journal.since_time(json.loads(said[1])["marked_time"])
    assert first is not None
    assert [kept.body for kept in journal.read(first, 100, "top", 100)] == [said[1]]


@pytest.mark.parametrize(
    ("time", "events"),
    [
        ("0001-01-01T00:00:00+14:00", 5),
        ("2026-11-24T03:35:04+05:30", 2),
        ("2026-11-23T12:05:04.001-10:00", 1),
        ("9999-12-31T23:59:59-14:00", 0),
    ],
)
def test_a_time_of_any_zone_and_year_is_asked_from(journal: Journal, time: str, events: int) -> None:
    journal.keep([stored(number) for number in range(1, 6)])
    command = Command.model_validate({"request_id": "r", "time": time})
    assert resend(Resending(journal), ["top"], "one", command)["events"] == events


@pytest.mark.parametrize("asked", [{"time": "2026-11-23T22:05:04Z"}, {"seq": 4}, {"seq": 4, "camera": "top"}])
def test_whoever_judges_reads_no_events_to_say_where_to_begin_and_how_many_there_are(
    journal: Journal, asked: dict[str, Any]
) -> None:
    journal.keep([stored(number) for number in range(1, 6)])
    asking: list[str] = []
    journal._database.set_trace_callback(asking.append)
    command = Command.model_validate({"request_id": "r", **asked})
    assert resend(Resending(journal), ["top"], "one", command)["events"] == 2
    journal._database.set_trace_callback(None)
    ends = ("SELECT MAX(number) FROM sent", "SELECT captured FROM sent ORDER BY number LIMIT 1")  # of one row each
    plans = [journal._ask(f"EXPLAIN QUERY PLAN {query}") for query in asking if query not in ends]
    assert plans
    assert all("COVERING INDEX" in step[-1] for plan in plans for step in plan), plans


def gap(number: int, first_seq: int, last_seq: int) -> StoredEvent:
    told = {"boot_id": "one", "camera": "top", "first_seq": first_seq, "last_seq": last_seq}
    return StoredEvent(number, "p/camera/top/gap", 0.0, json.dumps(told).encode())


def test_a_gap_is_sent_again_to_whoever_asks_from_a_number_within_it_on(journal: Journal) -> None:
    journal.keep([stored(1), gap(2, 2, 5), stored(6)])
    first = journal.since_seq("top", "one", 4)
    assert first is not None
    assert [kept.topic for kept in journal.read(first, 100, "top", 100)] == ["p/camera/top/gap", "p/camera/top/result"]


@pytest.mark.parametrize("wider", [(3, 7), (2, 5)])
def test_a_gap_that_grew_while_it_was_sent_is_kept_as_told_last(journal: Journal, wider: tuple[int, int]) -> None:
    journal.keep([stored(1), gap(2, 3, 5)])
    journal.keep([gap(3, *wider)])
    told = [json.loads(kept.body) for kept in journal.read(2, 100, "top", 100)]
    assert (told[-1]["first_seq"], told[-1]["last_seq"]) == wider


def test_a_gap_that_comes_before_all_events_has_a_time_too(journal: Journal) -> None:
    journal.keep([gap(1, 1, 5), stored(6)])
    assert journal.oldest
    assert journal.since_time("2026-11-23T22:05:00.000Z") == 1


def test_a_gap_after_a_restart_has_the_time_of_the_last_event_before_it(tmp_path: Path) -> None:
    for event in (stored(6), gap(2, 7, 9)):
        with closing(Journal(tmp_path / "journal.sqlite", 20)) as journal:
            journal.keep([event])
            assert journal.since_time("2026-11-23T22:05:06.000Z") == 1
            assert journal.since_time("2026-11-23T22:05:06.500Z") is None


def test_what_was_under_way_on_a_lost_connection_comes_again_and_one_is_sent_at_a_time(journal: Journal) -> None:
    journal.keep([stored(number) for number in range(1, 11)])
    again = Resending(journal)
    again.begin(1, None)
    assert len(taken(again)) == 10 <= MOST_UNDER_WAY
    with pytest.raises(ConfigError, match="already"):
        again.begin(1, None)
    again.begin_again()
    assert taken(again) == list(range(1, 11))
    again.settled()
    assert not again.is_under_way
    again.begin_again()
    assert taken(again) == []


def test_what_was_under_way_of_one_camera_comes_again_however_many_of_others_lie_between(tmp_path: Path) -> None:
    between = [stored(number, "side") for number in range(2, MOST_UNDER_WAY + 10)]
    with closing(Journal(tmp_path / "journal.sqlite", 2 * MOST_UNDER_WAY)) as journal:
        journal.keep([stored(1), *between, stored(len(between) + 2)])
        again = Resending(journal)
        assert again.begin(1, "top") == 2
        for losses in (0, 1, 2):  # at the second the next connection is lost before anything went
            for _ in range(losses):
                again.begin_again()
            assert taken(again) == [1, len(between) + 2]


def test_a_damaged_event_is_left_out_and_the_rest_comes(journal: Journal, tmp_path: Path) -> None:
    journal.keep([stored(number) for number in range(1, 4)])
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as disk, disk:
        disk.execute("UPDATE sent SET sealed = x'00' || sealed WHERE seq = 2")
    again = Resending(journal)
    again.begin(1, None)
    assert taken(again) == [1, 3]


def test_however_much_is_damaged_what_comes_behind_it_is_not_held_up(tmp_path: Path) -> None:
    events = [stored(number) for number in range(1, 1502)]
    with closing(Journal(tmp_path / "journal.sqlite", len(events))) as journal:
        journal.keep(events)
        with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as disk, disk:
            disk.execute("UPDATE sent SET sealed = x'00' || sealed WHERE seq <= 1500")
        assert [kept.body for kept in journal.read(1, 10**9, None, 1)] == [events[-1].body]


def test_an_mes_that_lost_its_database_is_sent_all_again_in_order(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", good=60, bad=2)
    box = {"path": str(tmp_path / "outbox.sqlite"), "journal_events": 1000}
    sections: dict[str, Any] = {"broker": at(mosquitto.port), "outbox": box, "commands": ["resend"]}
    code, _out, err = finish(write_config(tmp_path, bundle_path, {"top": folder(pictures)}, **sections))
    assert code == 0, err
    mes.wait_for_events(62)
    before = mes.events()
    process = run_command(write_config(tmp_path, bundle_path, {"top": folder(pictures, max_fps=5)}, **sections))
    mes.wait_for_events(63)
    run = before[0]["boot_id"]
    for asked, seqs in (
        ({"time": before[0]["capture_time"]}, list(range(1, 63))),
        ({"seq": 60, "boot_id": run}, [60, 61, 62]),
    ):
        heard = len(mes.messages)
        mes.send(f"{PREFIX}/cmd/resend", json.dumps({"request_id": "r", **asked}).encode())
        mes.wait_for(lambda heard=heard: any(m.topic.endswith("cmd_reply") for m in mes.messages[heard:]))  # type: ignore[misc]
        (answer,) = [json.loads(m.payload) for m in mes.messages[heard:] if m.topic.endswith("cmd_reply")]
        assert answer["ok"], answer
        assert answer["detail"]["events"] >= len(seqs)
        assert answer["detail"]["oldest"] == before[0]["capture_time"]
        mes.wait_for(lambda heard=heard, seqs=seqs: len(old(mes, heard, run)) >= len(seqs))  # type: ignore[misc]
        came = old(mes, heard, run)
        assert [event["seq"] for event in came] == seqs
        for event in came:
            (first,) = [each for each in before if each["id"] == event["id"]]
            assert event == {**first, "time": event["time"], "replayed": True}
    process.terminate()
    process.communicate(timeout=WAIT_S)


def old(mes: Subscriber, heard: int, run: str) -> list[dict[str, Any]]:
    """The events of an earlier run among what came since."""
    came = [json.loads(m.payload) for m in mes.messages[heard:] if m.topic.endswith("/result")]
    return [event for event in came if event["boot_id"] == run]


def test_resend_without_a_journal_is_refused_before_the_run(
    tmp_path: Path, bundle_path: Path, finish_here: Callable[..., tuple[int, str, str]]
) -> None:
    config = write_config(tmp_path, bundle_path, {"top": folder(tmp_path)}, commands=["resend"])
    code, _out, err = finish_here(config)
    assert (code, "`outbox.journal_events`" in err) == (ConfigError.exit_code, True)
