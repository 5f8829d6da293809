"""The whole runtime as its own process, against a real mosquitto: what is judged arrives, whatever happens."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from core.errors import ArtifactError, BrokerError, CameraError, ConfigError, OutboxError
from core.picture import fit, read_picture
from runtime.bundles.bundle import load_bundle
from runtime.bundles.manifest import MANIFEST
from runtime.delivery.outbox import Outbox
from runtime.delivery.settings import OutboxSettings
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import run_command, write_config
from tests.runtime.contract import check
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import SIZE, expected_errors, good_picture, write_pictures, write_video
from tests.runtime.waiting import WAIT_S, wait_until


def folder(path: Path, **changed: Any) -> dict[str, Any]:
    return {"kind": "folder", "path": str(path), **changed}


def at(port: int, **changed: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, **changed}


def finish(config: Path, *options: str) -> tuple[int, str, str]:
    process = run_command(config, *options)
    out, err = process.communicate(timeout=WAIT_S)
    return process.returncode, out, err


def seqs(events: list[dict[str, Any]]) -> list[int]:
    return sorted(event["seq"] for event in events)


def test_every_part_is_judged_as_the_model_says_and_told(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", good=40, bad=10)
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures)}, broker=at(mosquitto.port))
    code, out, err = finish(config, "--summary-json", str(tmp_path / "summary.json"))
    assert code == 0, err
    mes.wait_for(lambda: len(mes.events()) >= 50)
    events = mes.events()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["judged"] == summary["acknowledged"] == len(events) == 50
    assert summary["verdicts"] == {"OK": 40, "NotOK": 10, "NotDecidable": 0}
    assert (summary["waiting"], summary["discarded"], summary["stopped"]) == (0, 0, None)
    assert "events acknowledged" in out
    assert [event["seq"] for event in events] == list(range(1, 51))
    thresholds = load_bundle(bundle_path).manifest.thresholds
    for event in events:
        errors = expected_errors(read_picture(pictures / event["frame"]["source"]))
        found = [event["score"]["value"], *(tile["value"] for tile in event["tiles"])]
        assert found == pytest.approx(errors.tolist(), rel=1e-4)
        ratio = (errors / np.asarray(thresholds.values)).max()
        assert event["verdict"]["code"] == (2 if ratio > 1 else 1)
        assert event["score"]["margin"] == pytest.approx(1 - ratio, rel=1e-3)
    retained = {
        topic: json.loads(mosquitto.retained(f"pwae/site/area/line/test-1/{topic}").payload)
        for topic in ("status", "model", "camera/top/last", "camera/top/counters")
    }
    assert (retained["status"]["state"], retained["status"]["reason"]) == ("offline", "finished")
    assert retained["model"]["sha256"] == events[0]["model"]["sha256"]
    assert retained["camera/top/last"]["id"] == events[-1]["id"]
    assert (retained["camera/top/counters"]["ok"], retained["camera/top/counters"]["not_ok"]) == (40, 10)


def test_pictures_of_every_kind_give_one_event_each(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    large = good_picture(1, (200, 300))
    grey = np.full((100, 90), 122, np.uint8)  # even grey of 120 would be an error of 0
    cv2.imwrite(str(pictures / "a-large.png"), large)
    cv2.imwrite(str(pictures / "b-grey.png"), grey)
    cv2.imwrite(str(pictures / "c-grey16.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(pictures / "d-rgba.png"), np.dstack([grey] * 4))
    (pictures / "e-text.png").write_text("no picture")
    (pictures / "f-cut.png").write_bytes((pictures / "a-large.png").read_bytes()[:500])
    (pictures / "g-empty.jpg").touch()
    cv2.imwrite(str(pictures / "h-black.png"), grey * 0)
    cv2.imwrite(str(pictures / "i-white.png"), grey * 0 + 255)
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures)}, broker=at(mosquitto.port))
    code, _out, err = finish(config, "--summary-json", str(tmp_path / "summary.json"))
    assert code == 0, err
    mes.wait_for(lambda: len(mes.events()) >= 9)
    told = {event["frame"]["source"][0]: event for event in mes.events()}
    assert {name: event["verdict"]["name"] for name, event in told.items()} == {
        **dict.fromkeys("abcd", "OK"),
        **dict.fromkeys("efghi", "NotDecidable"),
    }
    reasons = [told[name]["verdict"]["reason"] for name in "efghi"]
    assert reasons == [["unreadable"]] * 3 + [["black"], ["overexposed"]]
    assert told["e"]["score"] is None
    row = np.zeros((SIZE, SIZE, 3), np.uint8)
    fit(large, row)
    assert told["a"]["score"]["value"] == pytest.approx(expected_errors(row)[0], rel=1e-4)
    assert json.loads((tmp_path / "summary.json").read_text())["unreadable"] == 3


def test_several_cameras_of_both_kinds_keep_their_own_order(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    cameras = {
        "one": folder(write_pictures(tmp_path / "one", 30)),
        "two": folder(write_pictures(tmp_path / "two", 5), threshold_factor=0.001),
        "video": {"kind": "video", "path": str(write_video(tmp_path / "v.avi", 12)), "roi": [0, 0, 48, 48]},
    }
    config = write_config(tmp_path, bundle_path, cameras, broker=at(mosquitto.port, protocol="3.1.1"))
    code, _out, err = finish(config)
    assert code == 0, err
    mes.wait_for(lambda: len(mes.events()) >= 47)
    order: dict[str, list[int]] = {}
    for event in mes.events():
        order.setdefault(event["camera"], []).append(event["seq"])
    assert order == {"one": list(range(1, 31)), "two": list(range(1, 6)), "video": list(range(1, 13))}
    verdicts = Counter((event["camera"], event["verdict"]["name"]) for event in mes.events())
    assert (verdicts["one", "OK"], verdicts["two", "NotOK"]) == (30, 5)
    assert len({event["thresholds_id"] for event in mes.events()}) == 2


def test_a_broker_killed_and_restarted_under_load_loses_nothing(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", 300)
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures, max_fps=200)}, broker=at(mosquitto.port))
    process = run_command(config, "--summary-json", str(tmp_path / "summary.json"))
    for _ in range(3):
        seen = len(mes.events())
        mes.wait_for(lambda least=seen + 20: len(mes.events()) >= least)
        mosquitto.stop(signal.SIGTERM)  # which lets it store what it has acknowledged and not yet delivered
        mosquitto.start()
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    mes.wait_for(lambda: len({event["id"] for event in mes.events()}) >= 300)
    assert {event["seq"] for event in mes.events()} == set(range(1, 301))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["acknowledged"] == summary["judged"] == 300


def test_a_broker_that_hangs_does_not_slow_judging(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", 300)
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures, max_fps=150)}, broker=at(mosquitto.port))
    process = run_command(config, "--summary-json", str(tmp_path / "summary.json"))
    mes.wait_for(lambda: len(mes.events()) >= 10)
    assert mosquitto.process is not None
    mosquitto.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: stored(tmp_path / "outbox.sqlite") > 200)
    mosquitto.process.send_signal(signal.SIGCONT)
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    assert json.loads((tmp_path / "summary.json").read_text())["images_per_s"] > 0.9 * 150
    mes.wait_for(lambda: len({event["id"] for event in mes.events()}) >= 300)


def test_a_broker_that_stays_away_ends_the_run_with_every_event_kept(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", 60)
    broker = at(mosquitto.port, connect_timeout_s=0.5)
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures, max_fps=100)}, broker=broker)
    process = run_command(config)
    mes.wait_for(lambda: len(mes.events()) >= 5)
    mosquitto.stop()
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == BrokerError.exit_code, err
    box = Outbox(OutboxSettings(path=tmp_path / "outbox.sqlite"))
    kept = {json.loads(event.body)["seq"] for event in box.read(0, 100)}
    box.close()
    assert kept | {event["seq"] for event in mes.events()} == set(range(1, 61))
    assert f"{len(kept)} events wait in" in err


def test_after_kill_9_the_next_run_sends_what_was_judged(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    config = write_config(
        tmp_path,
        bundle_path,
        {"top": folder(write_pictures(tmp_path / "pictures", 400), max_fps=400)},
        broker=at(free_port(), connect_timeout_s=60),
        outbox={"path": str(tmp_path / "box.sqlite")},
    )
    process = run_command(config)
    wait_until(lambda: stored(tmp_path / "box.sqlite") > 50)
    process.kill()
    process.communicate(timeout=WAIT_S)
    judged = stored(tmp_path / "box.sqlite")
    config = write_config(
        tmp_path,
        bundle_path,
        {"top": folder(write_pictures(tmp_path / "few", 3))},
        broker=at(mosquitto.port),
        outbox={"path": str(tmp_path / "box.sqlite")},
    )
    code, _out, err = finish(config, "--summary-json", str(tmp_path / "summary.json"))
    assert code == 0, err
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["waiting_before"], summary["acknowledged"]) == (judged, judged + 3)
    mes.wait_for(lambda: len(mes.events()) >= judged + 3)
    boots = {event["boot_id"]: event["time"] for event in mes.events()}
    first, second = sorted(boots, key=lambda boot: boots[boot])
    assert seqs([event for event in mes.events() if event["boot_id"] == first]) == list(range(1, judged + 1))
    assert seqs([event for event in mes.events() if event["boot_id"] == second]) == [1, 2, 3]


def stored(path: Path) -> int:
    """How many events wait in an outbox that another process may be writing."""
    from contextlib import closing

    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as database:
        try:
            (count,) = database.execute("SELECT COUNT(*) FROM events").fetchone()
        except sqlite3.OperationalError:
            return 0
    return int(count)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_two_seconds(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber, how: signal.Signals
) -> None:
    pictures = write_pictures(tmp_path / "pictures", 100)
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures, max_fps=10)}, broker=at(mosquitto.port))
    process = run_command(config)
    mes.wait_for(lambda: len(mes.events()) >= 3)
    process.send_signal(how)
    asked_s = time.monotonic()
    _out, err = process.communicate(timeout=WAIT_S)
    assert time.monotonic() - asked_s < 2
    assert process.returncode == (0 if how == signal.SIGTERM else 130), err
    assert "Traceback" not in err
    status = json.loads(mosquitto.retained("pwae/site/area/line/test-1/status").payload)
    assert (status["state"], status["reason"]) == ("offline", how.name)
    assert seqs(mes.events()) == list(range(1, len(mes.events()) + 1))


def test_killed_at_any_moment_it_loses_no_judged_part(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    config = write_config(
        tmp_path,
        bundle_path,
        {"top": folder(write_pictures(tmp_path / "pictures", 400), max_fps=200)},
        broker=at(mosquitto.port),
    )
    judged: set[str] = set()
    for kill_after in (1, 3, 10, 40, 90):
        process = run_command(config)
        before = len(mes.events())
        mes.wait_for(lambda least=before + kill_after: len(mes.events()) >= least)
        process.kill()
        process.communicate(timeout=WAIT_S)
        with sqlite3.connect(tmp_path / "outbox.sqlite") as database:
            judged |= {json.loads(body)["id"] for (body,) in database.execute("SELECT body FROM events")}
        database.close()
    config = write_config(
        tmp_path, bundle_path, {"top": folder(write_pictures(tmp_path / "few", 3))}, broker=at(mosquitto.port)
    )
    code, _out, err = finish(config)
    assert code == 0, err
    mes.wait_for(lambda: judged <= {event["id"] for event in mes.events()})
    mes.wait_for(lambda: any(event["state"] == "offline" for event in mes.events("/status")[-1:]))
    by_boot: dict[str, set[int]] = {}
    for event in mes.events():
        by_boot.setdefault(event["boot_id"], set()).add(event["seq"])
    assert len(by_boot) > 1
    assert all(numbers == set(range(1, len(numbers) + 1)) for numbers in by_boot.values())


def test_a_full_disk_ends_it_with_what_was_stored_kept(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    cameras = {"top": folder(write_pictures(tmp_path / "pictures", 1000))}
    config = write_config(tmp_path, bundle_path, cameras, broker=at(free_port(), connect_timeout_s=60))
    command = [sys.executable, "-c", "from runtime.cli import run_inspection; run_inspection()", str(config)]
    limited = ["prlimit", "--fsize=400000", *command]  # no file may grow beyond this: SQLite meets a full disk
    done = subprocess.run(limited, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=WAIT_S)
    assert done.returncode == OutboxError.exit_code, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "check the disk's free space" in line
    assert "Traceback" not in done.stderr
    kept = stored(tmp_path / "outbox.sqlite")
    assert kept > 50
    few = {"top": folder(write_pictures(tmp_path / "few", 2))}
    code, _out, err = finish(write_config(tmp_path, bundle_path, few, broker=at(mosquitto.port)))
    assert code == 0, err
    mes.wait_for(lambda: len(mes.events()) >= kept + 2)
    first = [event for event in mes.events() if event["boot_id"] == mes.events()[0]["boot_id"]]
    assert seqs(first) == list(range(1, kept + 1))


def test_a_disk_that_fills_up_is_told_to_the_mes(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    cameras = {"top": folder(write_pictures(tmp_path / "pictures", 1000))}
    config = write_config(tmp_path, bundle_path, cameras, broker=at(mosquitto.port))
    command = [sys.executable, "-c", "from runtime.cli import run_inspection; run_inspection()", str(config)]
    limited = ["prlimit", "--fsize=200000", *command]  # less than SQLite's journal grows to
    done = subprocess.run(limited, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=WAIT_S)
    assert done.returncode == OutboxError.exit_code, done.stderr
    mes.wait_for(lambda: [status["state"] for status in mes.events("/status")][-1:] == ["offline"])
    assert re.search("connection lost|free space", mes.events("/status")[-1]["reason"])  # by whoever met it first
    few = {"top": folder(write_pictures(tmp_path / "few", 2))}
    code, _out, err = finish(write_config(tmp_path, bundle_path, few, broker=at(mosquitto.port)))
    assert code == 0, err
    first = {event["seq"] for event in mes.events() if event["boot_id"] == mes.events()[0]["boot_id"]}
    assert first == set(range(1, max(first) + 1))


def test_a_killed_process_is_reported_offline_by_its_will(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", 100)
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures, max_fps=10)}, broker=at(mosquitto.port))
    process = run_command(config)
    mes.wait_for(lambda: [event["state"] for event in mes.events("/status")] == ["online"])
    process.kill()
    process.communicate(timeout=WAIT_S)
    mes.wait_for(lambda: [event["state"] for event in mes.events("/status")] == ["online", "offline"])
    assert mes.events("/status")[-1]["reason"] == "connection lost"


def test_a_full_outbox_gives_up_ok_first_and_tells_which(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", good=60, bad=5)
    bounds = {"path": str(tmp_path / "box.sqlite"), "max_events": 20}
    broker = at(free_port(), connect_timeout_s=0.6)
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures)}, broker=broker, outbox=bounds)
    code, _out, _err = finish(config)
    assert code == BrokerError.exit_code
    few = {"top": folder(write_pictures(tmp_path / "few", 1))}
    roomy = {**bounds, "max_events": 100}
    config = write_config(tmp_path, bundle_path, few, broker=at(mosquitto.port), outbox=roomy)
    code, _out, err = finish(config)
    assert code == 0, err
    mes.wait_for(lambda: len(mes.events()) >= 21)
    before = [event for event in mes.events() if event["boot_id"] == mes.events()[0]["boot_id"]]
    assert Counter(event["verdict"]["name"] for event in before) == {"OK": 15, "NotOK": 5}
    (gap,) = mes.events("/gap")
    assert (gap["first_seq"], gap["last_seq"]) == (1, 45)
    assert gap["boot_id"] == before[0]["boot_id"]
    assert seqs(before) == list(range(46, 66))
    assert {check(message) for message in mes.messages} >= {"gap", "result", "counters"}


def test_the_embedded_broker_serves_where_none_is_configured(tmp_path: Path, bundle_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 200)
    port = free_port()
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures, max_fps=100)}, broker={"port": port})
    process = run_command(config)
    assert process.stderr is not None
    assert any(f"broker started here, 127.0.0.1:{port}" in line for line in process.stderr)
    mes = Subscriber(port)
    _out, err = process.communicate(timeout=WAIT_S)
    mes.close()
    assert process.returncode == 0, err
    assert len(mes.events()) > 100
    assert mes.events()[-1]["seq"] == 200
    assert seqs(mes.events()) == list(range(mes.events()[0]["seq"], 201))


def unreachable(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    config["broker"] = at(free_port(), connect_timeout_s=0.3)
    return BrokerError


def damaged_bundle(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    copy = shutil.copytree(config["bundle"], tmp_path / "copy")
    (copy / MANIFEST).write_text("{}")
    config["bundle"] = str(copy)
    return ArtifactError


def no_bundle(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    config["bundle"] = str(tmp_path / "none")
    return ArtifactError


def no_folder(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    config["cameras"] = {"top": folder(tmp_path / "none")}
    return CameraError


def empty_folder(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    (tmp_path / "empty").mkdir()
    config["cameras"] = {"top": folder(tmp_path / "empty")}
    return CameraError


def no_video(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    config["cameras"] = {"top": {"kind": "video", "path": str(tmp_path / "none.avi")}}
    return CameraError


def no_password(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    config["broker"] = at(free_port(), username="u", password_env="PWAE_NO_SUCH")  # noqa: S106
    return ConfigError


def bad_outbox(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    (tmp_path / "file").touch()
    config["outbox"] = {"path": str(tmp_path / "file" / "box.sqlite")}
    return OutboxError


@pytest.mark.parametrize(
    "spoil",
    [unreachable, damaged_bundle, no_bundle, no_folder, empty_folder, no_video, no_password, bad_outbox],
)
def test_what_a_person_can_mend_is_one_line_and_an_exit_code(tmp_path: Path, bundle_path: Path, spoil: Any) -> None:
    content: dict[str, Any] = {
        "bundle": str(bundle_path),
        "cameras": {"top": folder(write_pictures(tmp_path / "pictures", 2))},
        "broker": at(free_port()),
    }
    expected = spoil(tmp_path, content)
    config = write_config(tmp_path, content.pop("bundle"), content.pop("cameras"), **content)
    code, _out, err = finish(config)
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == expected.exit_code, err
    assert len(errors) == 1, err
    assert "Traceback" not in err


def test_a_refused_login_ends_a_finite_run_at_once_with_the_events_kept(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto
) -> None:
    mosquitto.stop()
    mosquitto.extra = mosquitto.password_file("station", "right")
    mosquitto.start()
    pictures = write_pictures(tmp_path / "pictures", 5)
    config = write_config(
        tmp_path, bundle_path, {"top": folder(pictures)}, broker=at(mosquitto.port, connect_timeout_s=60)
    )
    code, _out, err = finish(config)
    assert code == BrokerError.exit_code
    assert "check broker.username" in err
    assert f" {stored(tmp_path / 'outbox.sqlite')} events wait in " in err
