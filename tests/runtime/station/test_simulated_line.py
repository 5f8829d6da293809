"""The simulated line: it answers triggers, tells its cameras' states, and what goes wrong on a line goes wrong here."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from runtime.station.scenario import PLAYED, Play, Trouble
from tests.runtime.broker import Mosquitto
from tests.runtime.command import at, run_command, write_config
from tests.runtime.contract import PREFIX, check
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S

LIVE = {"kind": "rtsp", "url": "rtsp://none.example.com/belt"}


@pytest.fixture
def play(tmp_path: Path, mosquitto: Mosquitto, mes: Subscriber) -> Iterator[Callable[..., None]]:
    started: list[subprocess.Popen[str]] = []

    def start(cameras: dict[str, Any], *options: str) -> None:
        config = write_config(tmp_path, tmp_path / "no-bundle", cameras, broker=at(mosquitto.port))
        started.append(run_command("simulate", config, *options, folder=tmp_path))

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        _out, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, err
    for message in mes.messages:
        if "/trigger/" not in message.topic:
            check(message)


def test_it_answers_triggers_and_tells_each_camera_s_state_once(play: Callable[..., None], mes: Subscriber) -> None:
    play({"belt": {**LIVE, "trigger": {"tolerance_ms": 100}}, "free": LIVE}, "--rate", "20")
    mes.wait_for(lambda: any(status["state"] == "streaming" for status in mes.events("belt/status")))
    for number in range(5):
        mes.send(f"{PREFIX}/trigger/belt", json.dumps({"part_id": number}).encode())
    mes.send(f"{PREFIX}/trigger/belt", b"{}")
    mes.wait_for(lambda: len([event for event in mes.events() if event["camera"] == "belt"]) == 5)
    mes.wait_for(lambda: len([event for event in mes.events() if event["camera"] == "free"]) >= 40)
    mes.wait_for(lambda: len(mes.events("belt/trigger_refused")) == 1)
    belt = [event for event in mes.events() if event["camera"] == "belt"]
    assert [event["part_id"] for event in belt] == [str(number) for number in range(5)]
    assert {event["simulated"] for event in mes.events()} == {True}
    states = [status["state"] for status in mes.events("free/status")]
    assert states in (["streaming"], ["reconnecting", "streaming"]), states  # however many frames came


def test_a_gap_is_an_outage_in_which_more_came_than_could_wait(play: Callable[..., None], mes: Subscriber) -> None:
    play({"belt": LIVE}, "--rate", "10", "--scenario", "gap")
    mes.wait_for(lambda: len(mes.events("belt/gap")) >= 1)
    (gone, *_more) = [status["reason"] for status in mes.events("test-1/status") if status["state"] == "offline"]
    assert gone == "connection lost"
    gap = mes.events("belt/gap")[0]
    mes.wait_for(lambda: any(event["seq"] > gap["last_seq"] for event in mes.events()))
    assert (gap["simulated"], gap["first_seq"] <= gap["last_seq"]) == (True, True)


def test_a_camera_that_is_down_is_told_and_comes_back(play: Callable[..., None], mes: Subscriber) -> None:
    play({"belt": LIVE}, "--rate", "10", "--scenario", "camera-down")
    down = "simulated: the camera is down"
    mes.wait_for(lambda: any(down in status["reason"] for status in mes.events("belt/status")))
    mes.wait_for(lambda: mes.events("belt/status")[-1]["state"] == "streaming")


@given(st.sampled_from(sorted(PLAYED)), st.floats(0.1, 100), st.floats(0, 1e4))
def test_every_trouble_of_a_scenario_comes_in_turn_and_passes(name: str, rate_per_s: float, started_s: float) -> None:
    seen = []
    for part in range(40 * len(PLAYED[name])):
        now_s = started_s + (part + 0.5) / rate_per_s
        trouble = Play(PLAYED[name], rate_per_s, lambda now_s=now_s: now_s, started_s).trouble  # type: ignore[misc]
        seen.append(trouble)
    assert [trouble for trouble in dict.fromkeys(seen) if trouble] == list(PLAYED[name])
    assert seen.count(None) == len(seen) / 2
    assert set(seen) == {None, *PLAYED[name]}
    assert set(PLAYED["mixed"]) == set(Trouble)


def test_a_scenario_that_is_none_is_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path, {"belt": LIVE})
    process = run_command("simulate", config, "--scenario", "flood", folder=tmp_path)
    _out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, "outage, camera-down, gap, burst, mixed" in err) == (ConfigError.exit_code, True)


def test_what_was_retained_of_a_camera_that_is_gone_is_cleared(
    tmp_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    for cameras in ({"old": LIVE, "top": LIVE}, {"top": LIVE}):
        config = write_config(tmp_path, tmp_path, cameras, broker=at(mosquitto.port))
        process = run_command("simulate", config, "--parts", "3", "--rate", "20", folder=tmp_path)
        _out, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, err
    cleared = {message.topic.rsplit("/", 1)[1] for message in mes.messages if message.payload == b""}
    mes.wait_for(lambda: any(message.topic.endswith("old/status") and not message.payload for message in mes.messages))
    assert {message.topic.split("/")[-2] for message in mes.messages if not message.payload} == {"old"}
    assert cleared >= {"last", "counters", "status"}
