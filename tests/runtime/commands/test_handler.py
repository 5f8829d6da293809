"""Commands over a real mosquitto to `run-inspection` as its own process."""

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from runtime.bundles.bundle import load_bundle, save_manifest
from runtime.bundles.manifest import MODEL
from runtime.bundles.site_thresholds import site_file
from tests.runtime.broker import Mosquitto
from tests.runtime.command import run_command, stored, write_config
from tests.runtime.contract import PREFIX, check
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import SIZE, write_pictures
from tests.runtime.waiting import WAIT_S, wait_until

VERBS = ["pause", "resume", "snapshot", "reload", "recalibrate"]
PARTS = 300


@pytest.fixture
def own_bundle(tmp_path: Path, bundle_path: Path) -> Path:
    """A bundle in a folder of its own, so that what is stored beside it is this test's."""
    return Path(shutil.copytree(bundle_path, tmp_path / "bundles" / "first"))


@pytest.fixture
def start(
    tmp_path: Path, own_bundle: Path, mosquitto: Mosquitto, mes: Subscriber
) -> Callable[..., "subprocess.Popen[str]"]:
    """Start an inspection of a few seconds."""
    pictures = write_pictures(tmp_path / "pictures", good=PARTS)

    def run(commands: list[str], fps: float = 60) -> "subprocess.Popen[str]":
        config = write_config(
            tmp_path,
            own_bundle,
            {"top": {"kind": "folder", "path": str(pictures), "max_fps": fps}},
            broker={"host": "127.0.0.1", "port": mosquitto.port},
            commands=commands,
        )
        process = run_command(config)
        mes.wait_for(lambda: len(mes.events()) > 0)
        return process

    return run


def test_a_flood_of_commands_holds_up_no_part(start: Callable[..., "subprocess.Popen[str]"], mes: Subscriber) -> None:
    process = start(["resume"])
    with socket.create_connection(("127.0.0.1", mes.port)) as flood:
        flood.sendall(b"\x10\x11\0\4MQTT\4\2\0\0\0\5flood")  # CONNECT of MQTT 3.1.1
        topic, body = f"{PREFIX}/cmd/resume".encode(), b'{"request_id":"1"}'
        command = bytes([0x30, 2 + len(topic) + len(body), 0, len(topic)]) + topic + body
        before = len(mes.events())
        until_s = time.monotonic() + WAIT_S
        while len(mes.events()) < before + 20:
            assert time.monotonic() < until_s
            flood.sendall(command * 20)
            time.sleep(0.02)  # a thousand a second
    process.send_signal(signal.SIGTERM)
    _out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, "commands a second" in err) == (0, True)


def ask(mes: Subscriber, verb: str, **keys: Any) -> dict[str, Any]:
    """Send a command and wait for its reply, as an MES without MQTT 5 does."""
    before = len(mes.events("/cmd_reply"))
    mes.send(f"{PREFIX}/cmd/{verb}", json.dumps({"request_id": f"{verb}-{before}", **keys}).encode())
    mes.wait_for(lambda: len(mes.events("/cmd_reply")) > before)
    answer = mes.events("/cmd_reply")[before]
    assert (answer["request_id"], answer["verb"]) == (f"{verb}-{before}", verb)
    return answer


def finish(process: "subprocess.Popen[str]", mes: Subscriber) -> list[dict[str, Any]]:
    """Wait for the end: every picture gave its event, whatever was asked meanwhile."""
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    mes.wait_for(lambda: len(mes.events()) >= PARTS)
    assert [event["seq"] for event in mes.events()] == list(range(1, PARTS + 1))
    for message in mes.messages:
        if "/cmd/" not in message.topic:
            check(message)
    return mes.events()


def test_pause_holds_and_resume_goes_on_without_loss(
    tmp_path: Path, start: Callable[..., Any], mes: Subscriber
) -> None:
    process = start(VERBS)
    assert ask(mes, "pause", by="Ada")["detail"] == {"paused": True}
    assert "paused" in ask(mes, "snapshot")["error"]
    # What was under way is judged still. A reply may overtake events that wait; it comes behind those that were sent.
    wait_until(lambda: stored(tmp_path / "outbox.sqlite") == 0, every_s=0.05)
    assert ask(mes, "pause")["ok"]
    seen = len(mes.events())
    held_s = time.monotonic()
    while time.monotonic() < held_s + 1:  # in which 60 are due
        assert ask(mes, "pause")["ok"]
    assert (len(mes.events()), stored(tmp_path / "outbox.sqlite")) == (seen, 0)
    assert ask(mes, "resume")["detail"] == {"paused": False}
    finish(process, mes)


def test_a_snapshot_is_what_is_judged_of_the_frame_at_its_own_size(start: Callable[..., Any], mes: Subscriber) -> None:
    process = start(VERBS)
    answer = ask(mes, "snapshot")
    assert (answer["ok"], answer["detail"]["camera"]) == (True, "top")
    (jpeg,) = [message.payload for message in mes.messages if message.topic == answer["detail"]["topic"]]
    assert len(jpeg) == answer["detail"]["bytes"]
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (SIZE, SIZE, 3)
    assert "one of top" in ask(mes, "snapshot", camera="elsewhere")["error"]
    finish(process, mes)


def test_a_new_bundle_takes_over_and_a_bad_one_does_not(
    start: Callable[..., Any], mes: Subscriber, own_bundle: Path
) -> None:
    second = Path(shutil.copytree(own_bundle, own_bundle.with_name("second")))
    save_manifest(second, load_bundle(second).manifest.model_copy(update={"name": "second"}))
    damaged = Path(shutil.copytree(own_bundle, own_bundle.with_name("damaged")))
    (damaged / MODEL).write_bytes(b"no model")
    process = start(VERBS)
    for name in ("damaged", "not-there"):
        answer = ask(mes, "reload", bundle=name)
        assert not answer["ok"]
        assert "The bundle in use is kept." in answer["error"]
    (own_bundle / MODEL).write_bytes((damaged / MODEL).read_bytes())
    assert "The bundle in use is kept." in ask(mes, "reload")["error"]
    assert ask(mes, "reload", bundle="second")["detail"]["model"] == "second"
    events = finish(process, mes)
    names = [event["model"]["name"] for event in events]
    switch = names.index("second")
    assert switch > 0
    assert names == ["even-grey"] * switch + ["second"] * (PARTS - switch)
    assert mes.events("/model")[-1]["name"] == "second"


def test_recalibration_sets_a_cameras_thresholds_and_they_last(
    start: Callable[..., Any], mes: Subscriber, own_bundle: Path
) -> None:
    process = start(VERBS)
    assert "`by` and `parts` or `marked` are needed" in ask(mes, "recalibrate")["error"]
    assert "at least 99" in ask(mes, "recalibrate", by="Ada", parts=10)["error"]
    answer = ask(mes, "recalibrate", by="Ada", parts=100)
    assert (answer["ok"], answer["detail"]["by"], answer["detail"]["parts"]) == (True, "Ada", 100)
    events = finish(process, mes)
    before, after = events[0]["thresholds_id"], events[-1]["thresholds_id"]
    assert after == answer["detail"]["thresholds_id"] != before
    kept = json.loads(site_file(own_bundle).read_text())["cameras"]["top"]
    assert (kept["by"], kept["thresholds"]["parts"] + kept["thresholds"]["odd"]) == ("Ada", 100)
    again = start([])
    mes.wait_for(lambda: len(mes.events()) > PARTS)
    assert mes.events()[PARTS]["thresholds_id"] == after
    again.kill()


def test_a_recalibration_does_not_outlive_the_model(
    start: Callable[..., Any], mes: Subscriber, own_bundle: Path
) -> None:
    process = start(VERBS)
    asked = json.dumps({"request_id": "r", "by": "Ada", "parts": PARTS})
    mes.send(f"{PREFIX}/cmd/recalibrate", asked.encode())
    mes.send(f"{PREFIX}/cmd/reload", b'{"request_id": "l"}')
    mes.wait_for(lambda: len(mes.events("/cmd_reply")) == 2)
    answers = {answer["verb"]: answer for answer in mes.events("/cmd_reply")}
    assert answers["reload"]["ok"]
    assert "another model took over" in answers["recalibrate"]["error"]
    finish(process, mes)
    assert not site_file(own_bundle).exists()


def test_version_5_is_answered_where_it_waits(start: Callable[..., Any], mes: Subscriber, mosquitto: Mosquitto) -> None:
    process = start(VERBS)
    asking = ["mosquitto_rr", "-p", str(mosquitto.port), "-V", "5", "-q", "1", "-W", "10", "-D", "publish"]
    asking += ["correlation-data", "17", "-t", f"{PREFIX}/cmd/resume", "-e", "mes/answers", "-m", '{"request_id": "r"}']
    done = subprocess.run([*asking, "-F", "%D %p"], capture_output=True, text=True, check=True)
    correlation, body = done.stdout.split(" ", 1)
    assert correlation == "17"
    assert json.loads(body)["ok"] is True
    assert not mes.events("/cmd_reply")
    process.kill()


def test_only_what_is_listed_is_done_and_all_else_is_answered(start: Callable[..., Any], mes: Subscriber) -> None:
    process = start(["resume"])
    for payload in (b"", b"\xff", b"[]", b'{"request_id": 5.5}', b"{" * 3000, b"1" * 10_000):
        mes.send(f"{PREFIX}/cmd/pause", payload)
        mes.send(f"{PREFIX}/cmd/resume", payload)
    mes.wait_for(lambda: len(mes.events("/cmd_reply")) == 12)
    for unlisted in (answer for answer in mes.events("/cmd_reply") if answer["verb"] == "pause"):
        assert unlisted["error"] == "no such command here; `commands` lists resume."
    assert all(not answer["ok"] and answer["error"] for answer in mes.events("/cmd_reply"))
    finish(process, mes)
    assert {answer["verb"] for answer in mes.events("/cmd_reply")} == {"pause", "resume"}
