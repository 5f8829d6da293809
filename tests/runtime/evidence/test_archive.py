"""Evidence: what is kept, for how long, and what happens when the disk does not want it."""

import errno
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from runtime.evidence.archive import RETRY_AFTER_S, WAITING, Evidence
from runtime.evidence.overlay import LONGEST_SIDE
from runtime.evidence.settings import EvidenceSettings
from runtime.parts.verdict import Reason
from tests.pictures import read_picture
from tests.runtime.broker import Mosquitto
from tests.runtime.command import run_command, write_config
from tests.runtime.contract import check
from tests.runtime.mes import Subscriber
from tests.runtime.part_pictures import files, part_picture
from tests.runtime.pictures import bad_picture, write_pictures
from tests.runtime.waiting import WAIT_S, wait_until

CAMERA_SIZE = (300, 420, 3)
"""Height, width, channels."""


@contextmanager
def keeping(folder: Path, now_s: list[float] | None = None, **changes: Any) -> Iterator[Evidence]:
    """Keep evidence in `folder`; `now_s` is the machine's time, where it is not the real one."""
    settings = EvidenceSettings.model_validate({"folder": folder, "min_free_bytes": 0, **changes})
    evidence = Evidence(settings) if now_s is None else Evidence(settings, lambda: ("boot", now_s[0]))
    evidence.start()
    yield evidence
    evidence.stop(WAIT_S)
    assert not evidence.is_alive()
    assert evidence.fault is None


def test_a_failed_part_leaves_its_picture_and_its_map_named_by_the_event(tmp_path: Path) -> None:
    shown = part_picture(7)
    with keeping(tmp_path) as evidence:
        ref = evidence.offer(shown)
    assert ref is not None
    assert ref.ref == "NotOK/2027-01-15/00000007.jpg"
    assert files(tmp_path) == ["NotOK/2027-01-15/00000007-map.jpg", ref.ref]
    assert ref.sha256 is None  # nobody who judges waits for it to be encoded
    for name in files(tmp_path):
        assert read_picture((tmp_path / name).read_bytes()).shape == bad_picture(7).shape
    assert (evidence.written, evidence.dropped) == (1, 0)


def test_every_nth_ok_of_each_camera_is_wanted_and_all_else_that_is_not_ok(tmp_path: Path) -> None:
    evidence = Evidence(EvidenceSettings(folder=tmp_path, every_nth_ok=3))
    good, bad, black = part_picture(1, bad=False), part_picture(2), part_picture(3, faults=(Reason.BLACK,))
    assert [evidence.wants("top", good.judgement) for _ in range(6)] == [False, False, True] * 2
    assert not evidence.wants("side", good.judgement)
    assert evidence.wants("top", bad.judgement)
    assert evidence.wants("top", black.judgement)
    none = Evidence(EvidenceSettings(folder=tmp_path))
    assert not any(none.wants("top", good.judgement) for _ in range(50))


def test_there_is_no_picture_of_a_part_without_pixels(tmp_path: Path) -> None:
    evidence = Evidence(EvidenceSettings(folder=tmp_path))
    assert not evidence.wants("top", part_picture(1, faults=(Reason.UNREADABLE,)).judgement)
    assert not evidence.wants("top", part_picture(1, faults=(Reason.ROI_OUTSIDE,)).judgement)


def test_a_picture_that_no_jpeg_can_hold_is_told_of_and_the_next_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = np.zeros((LONGEST_SIDE + 1, 4, 3), np.uint8)  # as of a line camera
    shown = part_picture(1)
    with keeping(tmp_path) as evidence:
        for number in (1, 2):
            part = replace(shown.part, picture=lambda: long)
            assert evidence.offer(replace(shown, event_id=str(number), part=part)) is not None
        evidence.offer(part_picture(3))
    assert [name.rsplit("/", 1)[1] for name in files(tmp_path)] == ["00000003-map.jpg", "00000003.jpg"]
    assert (evidence.written, evidence.dropped, evidence.problem) == (1, 2, "")
    (told,) = [record.message for record in caplog.records]
    assert ("event=1 " in told, "4 x 65501" in told) == (True, True)


def test_with_too_many_bytes_ok_goes_first_and_not_ok_last(tmp_path: Path) -> None:
    with keeping(tmp_path) as evidence:
        evidence.offer(part_picture(1))
    one = sum(path.stat().st_size for path in tmp_path.rglob("*.jpg"))
    with keeping(tmp_path, max_bytes=int(one * 3.5)) as evidence:
        for number in (2, 3, 4):
            evidence.offer(part_picture(number, bad=False))
        evidence.offer(part_picture(5))
        evidence.offer(part_picture(6))
    kept = {name.rsplit("/", 1)[1] for name in files(tmp_path) if "-map" not in name}
    assert kept >= {"00000001.jpg", "00000005.jpg", "00000006.jpg"}
    assert "00000002.jpg" not in kept
    with keeping(tmp_path, max_bytes=int(one * 2.2)) as evidence:
        evidence.offer(part_picture(7))
    assert {name.rsplit("/", 1)[1] for name in files(tmp_path) if "-map" not in name} == {
        "00000006.jpg",
        "00000007.jpg",
    }


def test_what_is_too_old_goes_at_the_start_and_its_folder_with_it(tmp_path: Path) -> None:
    now_s = [1000.0]
    with keeping(tmp_path, now_s) as evidence:
        evidence.offer(part_picture(1, at_s=1.7e9))
    now_s[0] += 100
    with keeping(tmp_path, now_s, max_age_s=50) as evidence:
        evidence.offer(part_picture(2))
    assert files(tmp_path) == ["NotOK/2027-01-15/00000002-map.jpg", "NotOK/2027-01-15/00000002.jpg"]
    assert [path.name for path in (tmp_path / "NotOK").iterdir()] == ["2027-01-15"]


def test_what_a_kill_cut_off_goes_at_the_start(tmp_path: Path) -> None:
    day = tmp_path / "NotOK" / "2027-01-14"
    day.mkdir(parents=True)
    for name in (".00000001.jpg.part", ".mine", "00000002.jpg"):
        (day / name).write_bytes(b"half")
    with keeping(tmp_path):
        pass
    assert sorted(path.name for path in day.iterdir()) == [".mine", "00000002.jpg"]


def test_a_clock_that_is_put_right_deletes_nothing(tmp_path: Path) -> None:
    now_s = [1000.0]
    with keeping(tmp_path, now_s, max_age_s=50) as evidence:
        evidence.offer(part_picture(1, at_s=1.5e9))  # the clock said 2017
        evidence.offer(part_picture(2))
    for path in tmp_path.rglob("*-map.jpg"):
        os.utime(path, (1.5e9, 1.5e9))
    now_s[0] += 40
    with keeping(tmp_path, now_s, max_age_s=50):
        pass
    assert len(files(tmp_path)) == 4
    (tmp_path / ".ages.json").write_text("damaged")
    now_s[0] += 40
    with keeping(tmp_path, now_s, max_age_s=50):
        pass
    assert len(files(tmp_path)) == 4  # unknown ages count from now
    now_s[0] += 60
    with keeping(tmp_path, now_s, max_age_s=50):
        pass
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_told_once_counted_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "evidence"
    folder.write_text("a file where the folder should be")
    with caplog.at_level(logging.INFO), keeping(folder) as evidence:
        wait_until(lambda: evidence.problem != "")
        assert evidence.offer(part_picture(1)) is None
        assert evidence.offer(part_picture(2)) is None
        assert evidence.dropped == 2
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert str(folder) in caplog.text
        assert "the inspection goes on" in caplog.text
        folder.unlink()
        now_s = time.monotonic()
        monkeypatch.setattr("runtime.evidence.archive.time.monotonic", lambda: now_s + RETRY_AFTER_S + 1)
        assert evidence.offer(part_picture(3)) is not None
        wait_until(lambda: evidence.problem == "")
    assert evidence.written == 1
    assert "written again" in caplog.text


def test_the_last_bytes_of_a_disk_are_left_to_the_outbox(tmp_path: Path) -> None:
    with keeping(tmp_path, min_free_bytes=10**15) as evidence:
        evidence.offer(part_picture(1))
        wait_until(lambda: evidence.problem != "")
        assert "min_free_bytes" in str(evidence.problem)
    assert files(tmp_path) == []
    assert evidence.dropped == 1


def test_what_is_too_old_goes_from_a_disk_that_is_too_full_for_more(tmp_path: Path) -> None:
    now_s = [1000.0]
    with keeping(tmp_path, now_s) as evidence:
        evidence.offer(part_picture(1))
    now_s[0] += 100
    with keeping(tmp_path, now_s, max_age_s=50, min_free_bytes=10**15) as evidence:
        wait_until(lambda: evidence.problem != "")
    assert files(tmp_path) == []


def test_what_an_earlier_run_left_is_counted_where_the_folder_could_not_be_looked_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with keeping(tmp_path) as evidence:
        evidence.offer(part_picture(1))
    one = sum(path.stat().st_size for path in tmp_path.rglob("*.jpg"))
    is_away = threading.Event()
    is_away.set()
    look = Path.glob

    def glob(folder: Path, pattern: str) -> Any:
        if is_away.is_set():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return look(folder, pattern)

    monkeypatch.setattr(Path, "glob", glob)
    with keeping(tmp_path, max_bytes=int(one * 1.5)) as evidence:
        wait_until(lambda: evidence.problem != "")
        is_away.clear()
        now_s = time.monotonic()
        monkeypatch.setattr("runtime.evidence.archive.time.monotonic", lambda: now_s + RETRY_AFTER_S + 1)
        evidence.offer(part_picture(2))
    assert {name.rsplit("/", 1)[1] for name in files(tmp_path)} >= {"00000002.jpg", "00000002-map.jpg"}
    assert "NotOK/2027-01-15/00000001.jpg" not in files(tmp_path)


def test_what_is_no_picture_in_the_folder_keeps_none_from_being_written_or_cleared(tmp_path: Path) -> None:
    day = tmp_path / "NotOK" / "2027-01-14"
    (day / "folder.jpg").mkdir(parents=True)
    (day / "link.jpg").symlink_to("nowhere")
    (day / "old.jpg").write_bytes(b"old")
    with keeping(tmp_path, max_bytes=1) as evidence:
        assert evidence.offer(part_picture(7)) is not None
    assert (evidence.written, evidence.problem) == (1, "")
    assert sorted(path.name for path in day.iterdir()) == ["folder.jpg", "link.jpg"]


def test_a_slow_disk_drops_and_counts_and_makes_nobody_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = threading.Event()
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: (disk.wait(WAIT_S), write(path, data))[1])
    with keeping(tmp_path) as evidence:
        refs = [evidence.offer(part_picture(number)) for number in range(WAITING + 10)]
        assert refs[-1] is None
        assert evidence.dropped == refs.count(None) >= 8
        disk.set()
    assert evidence.written == WAITING + 10 - evidence.dropped


def test_an_inspection_keeps_evidence_of_what_it_did_not_pass_and_says_so_in_the_event(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", good=10)
    for number in range(4):
        assert cv2.imwrite(str(pictures / f"bad-{number}.png"), bad_picture(number, CAMERA_SIZE[:2]))
    (pictures / "x-broken.png").write_text("no picture")
    config = write_config(
        tmp_path,
        bundle_path,
        {"top": {"kind": "folder", "path": str(pictures)}},
        broker={"host": "127.0.0.1", "port": mosquitto.port},
        evidence={"folder": str(tmp_path / "evidence"), "every_nth_ok": 5, "min_free_bytes": 0},
    )
    process = run_command(config)
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    mes.wait_for(lambda: len(mes.events()) >= 15)
    assert {check(message) for message in mes.messages} >= {"result", "last"}
    told = {event["id"]: event for event in mes.events()}
    kept = {name: event["evidence"] for name, event in told.items() if event["evidence"]}
    assert [told[name]["verdict"]["name"] for name in kept] == ["OK", "OK", *["NotOK"] * 4]
    for name, ref in kept.items():
        path = tmp_path / "evidence" / ref["ref"]
        assert path.stem == name
        assert (ref["media_type"], ref["url"]) == ("image/jpeg", None)
        size = CAMERA_SIZE if told[name]["verdict"]["name"] == "NotOK" else (48, 48, 3)
        assert read_picture(path.read_bytes()).shape == size
        assert read_picture(path.with_stem(f"{name}-map").read_bytes()).shape == size
    assert len(files(tmp_path / "evidence")) == 12
