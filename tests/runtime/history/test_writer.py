"""The history's writer: what an inspection judged can be looked back at, and its disk holds nobody up."""

import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from runtime.events.event import EvidenceRef, JudgedPart, Timing
from runtime.events.origin import Origin
from runtime.evidence.settings import EvidenceSettings
from runtime.history import writer
from runtime.history.entry import Kind, Wanted
from runtime.history.file import HistoryFile
from runtime.history.shifts import shift_start
from runtime.history.writer import HistoryWriter
from runtime.parts.frame import Trigger
from runtime.parts.job import Job
from runtime.parts.moment import Moment
from runtime.parts.part import Part
from runtime.parts.verdict import Verdict
from runtime.station.simulating.simulated_backend import invented_manifest
from tests.runtime.broker import Mosquitto
from tests.runtime.command import run_command, write_config
from tests.runtime.mes import Subscriber
from tests.runtime.part_pictures import part_picture, thresholds
from tests.runtime.pictures import write_pictures
from tests.runtime.waiting import WAIT_S, wait_until

SHIFTS = (time(6), time(18))


@contextmanager
def writing(folder: Path, **changes: Any) -> Iterator[HistoryWriter]:
    settings = EvidenceSettings.model_validate({"folder": folder, "min_free_bytes": 0, **changes})
    history = HistoryWriter(settings, SHIFTS)
    history.start()
    yield history
    history.stop(WAIT_S)
    assert not history.is_alive()
    assert history.fault is None


def judged(number: int, bad: bool = False) -> tuple[JudgedPart, str, bytes]:
    trigger = Trigger(f"P-{number}", "job <7>", None, None, Moment(0.0, 0.0))
    part = Part("top", Moment(1.8e9 + number, 0.0), (24, 24), None, (), trigger)
    reference = EvidenceRef(f"NotOK/2027-01-15/{number}.jpg", "0" * 64, "image/jpeg") if bad else None
    origin = Origin("press-3", "boot", "simulated", invented_manifest())
    shown = part_picture(number, bad)
    timing, job = Timing(1, 2, 3), Job("job <7>")
    made = JudgedPart(part, origin, shown.judgement, number, thresholds(), timing, reference, job=job)
    return made, f"event-{number}", json.dumps({"seq": number, "verdict": {"reason": []}}).encode()


def test_what_was_judged_is_found_with_its_part_its_job_its_picture_and_its_event(tmp_path: Path) -> None:
    with writing(tmp_path) as history:
        history.add([judged(1), judged(2, bad=True)])
        history.add([judged(3)])
    (found,) = history.file.find(Wanted(), 9)
    assert (found.part, found.job, found.picture) == ("P-2", "job <7>", "NotOK/2027-01-15/2.jpg")
    assert found.margin is not None
    assert found.margin < 0
    told = history.file.get("event-2")
    assert told is not None
    assert told[1]["seq"] == 2
    counts = Counter({Verdict.OK: 2, Verdict.NOT_OK: 1})
    assert history.file.of_shift(shift_start(1.8e9, SHIFTS)) == {"top": counts}
    assert history.file.of_job("top", "job <7>") == counts


def test_it_holds_no_more_parts_than_it_may_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    for start in (0, 60):
        with writing(tmp_path, history_events=100) as history:
            for number in range(start, start + 60):
                history.add([judged(number, bad=number % 20 == 0)])
    kept = [each.part for each in history.file.find(Wanted(Kind.ALL), 200)]
    assert len(kept) <= 100
    assert kept[0] == "P-119"
    assert {"P-0", "P-20", "P-40", "P-60", "P-80", "P-100"} <= set(kept)
    assert history.file.of_job("top", "job <7>").total() == 120


def test_a_file_that_takes_nothing_is_told_once_counted_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_AFTER_S", 0.05)
    folder = tmp_path / "evidence"
    folder.write_text("a file where the folder should be")
    with caplog.at_level(logging.INFO), writing(folder) as history:
        wait_until(lambda: history.problem != "")
        history.add([judged(1), judged(2)])
        wait_until(lambda: history.dropped == 2)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "the inspection goes on" in caplog.text
        folder.unlink()
        wait_until((folder / "history.sqlite").exists)
        history.add([judged(3)])
        wait_until(lambda: history.problem == "")
    assert [each.part for each in history.file.find(Wanted(Kind.ALL), 9)] == ["P-3"]
    assert "written again" in caplog.text


def parts(file: HistoryFile) -> list[str | None]:
    return [each.part for each in file.find(Wanted(Kind.ALL), 9)]


def away(folder: Path, names: str, to: Path) -> None:
    """Move what has such names away."""
    to.mkdir()
    for file in folder.glob(names):
        file.rename(to / file.name)


@pytest.mark.parametrize("names", ["history.sqlite*", "history.sqlite", "history.sqlite-wal"])
@pytest.mark.parametrize("replacing", [True, False])
def test_a_file_that_somebody_moves_or_replaces_is_told_and_the_one_in_its_place_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, names: str, replacing: bool
) -> None:
    monkeypatch.setattr(writer, "RETRY_AFTER_S", 0.05)
    folder, moved = tmp_path / "evidence", tmp_path / "moved"
    with writing(tmp_path / "older") as older:
        older.add([judged(0)])
    with writing(folder):
        pass
    with caplog.at_level(logging.INFO), writing(folder) as history:
        history.add([judged(1)])
        wait_until(lambda: history.file.get("event-1") is not None)
        away(folder, names, moved)
        if replacing:
            for file in (tmp_path / "older").glob(names):
                file.rename(folder / file.name)
        history.add([judged(2)])
        wait_until(lambda: history.problem != "")
        assert (history.dropped, "somebody moved, removed or replaced it" in caplog.text) == (1, True)
        wait_until(lambda: bool(history.add([judged(3)]) or not history.problem))
    if names == "history.sqlite-wal":
        assert parts(history.file) == ["P-3", "P-1"]
    else:
        assert parts(history.file) == ["P-3", *(["P-0"] if replacing else [])]
        assert parts(HistoryFile(moved)) == ["P-1"]


def test_the_end_is_not_missed_where_the_file_is_gone_by_then(tmp_path: Path) -> None:
    with writing(tmp_path):
        pass
    with writing(tmp_path) as history:
        history.add([judged(1)])
        wait_until(lambda: history.file.get("event-1") is not None)
        for file in tmp_path.glob("history.sqlite*"):
            file.unlink()
    assert "somebody moved, removed or replaced it" in history.problem


def test_a_slow_disk_drops_and_counts_and_makes_nobody_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = threading.Event()
    monkeypatch.setattr(writer, "add", lambda *_: disk.wait(WAIT_S))
    monkeypatch.setattr(writer, "WAITING", 5)
    with writing(tmp_path) as history:
        wait_until(lambda: not [history.add([judged(number)]) for number in range(20)] or history.dropped > 0)
        disk.set()
    assert history.dropped > 0


def test_an_inspection_writes_down_every_part_that_it_tells_of(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", good=10, bad=4)
    (pictures / "x-broken.png").write_text("no picture")
    config = write_config(
        tmp_path,
        bundle_path,
        {"top": {"kind": "folder", "path": str(pictures)}},
        broker={"host": "127.0.0.1", "port": mosquitto.port},
        evidence={"folder": str(tmp_path / "evidence"), "min_free_bytes": 0},
        shifts=["06:00", "14:00", "22:00"],
    )
    process = run_command(config)
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    mes.wait_for(lambda: len(mes.events()) >= 15)
    file = HistoryFile(tmp_path / "evidence")
    entries = file.find(Wanted(Kind.ALL), 99)
    told = {event["id"]: event for event in mes.events()}
    assert {each.id for each in entries} == set(told)
    for each in entries:
        found = file.get(each.id)
        assert found is not None
        assert found[1].items() <= told[each.id].items()
        assert each.file == told[each.id]["frame"]["source"]
        assert each.picture == (told[each.id]["evidence"] or {"ref": None})["ref"]


def test_what_waits_for_a_disk_that_hangs_is_bounded_by_parts_however_large_the_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WAITING_PARTS", 10)
    history = HistoryWriter(EvidenceSettings(folder=tmp_path, min_free_bytes=0), SHIFTS)
    for batch in range(3):
        history.add([judged(4 * batch + number) for number in range(4)])
    assert history.dropped == 4
    history.start()
    wait_until(lambda: HistoryFile(tmp_path).path.exists() and history._taken == 8)
    history.add([judged(number) for number in range(12, 22)])
    history.stop(WAIT_S)
    assert (history.dropped, history.fault) == (4, None)
    assert len(HistoryFile(tmp_path).find(Wanted(Kind.ALL), 100)) == 18
