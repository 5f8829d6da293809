"""The whole runtime as its own process, against a real mosquitto: what is judged arrives, whatever happens."""

import json
import shutil
import signal
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.errors import BrokerError
from core.pictures.picture import fit, read_picture
from runtime.bundles.bundle import load_bundle, save_manifest
from runtime.outbox.outbox import Outbox
from runtime.outbox.settings import OutboxSettings
from tests.runtime.broker import Mosquitto
from tests.runtime.command import at, finish, folder, run_command, stored, write_config
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import SIZE, bad_picture, expected_errors, good_picture, write_pictures, write_video
from tests.runtime.waiting import WAIT_S, wait_until


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
    assert (retained["model"]["sha256"], retained["model"]["recipes"]) == (events[0]["model"]["sha256"], {})
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
    cv2.imwrite(str(pictures / "d-rgba.png"), np.dstack([grey, grey, grey, np.full_like(grey, 255)]))
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


def test_a_bundle_trained_on_12_bits_in_16_reads_them_so_on_the_line(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    bundle = Path(shutil.copytree(bundle_path, tmp_path / "twelve"))
    save_manifest(bundle, load_bundle(bundle).manifest.model_copy(update={"bits": 12}))
    (tmp_path / "pictures").mkdir()
    for name, picture in (("a-good.png", good_picture(1)), ("b-bad.png", bad_picture(1))):
        cv2.imwrite(str(tmp_path / "pictures" / name), np.ceil(picture * (4095 / 255)).astype(np.uint16))
    config = write_config(tmp_path, bundle, {"top": folder(tmp_path / "pictures")}, broker=at(mosquitto.port))
    code, _out, err = finish(config)
    assert code == 0, err
    mes.wait_for(lambda: len(mes.events()) >= 2)
    assert [event["verdict"]["name"] for event in mes.events()] == ["OK", "NotOK"]


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
        mes.wait_for_events(len(mes.events()) + 20)
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
    assert json.loads((tmp_path / "summary.json").read_text())["images_per_s"] > 0.2 * 150  # on a busy machine too
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
