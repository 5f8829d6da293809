"""Triggers across outages of the station and of the broker: each that was acknowledged gets its event, once."""

import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.runtime.broker import Mosquitto
from tests.runtime.command import at, run_command, write_config
from tests.runtime.contract import PREFIX
from tests.runtime.mes import Subscriber
from tests.runtime.servers import MjpegServer
from tests.runtime.waiting import WAIT_S

TOPIC = f"{PREFIX}/trigger/top"


@pytest.fixture
def config(tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mjpeg: MjpegServer) -> Path:
    """A station with one triggered camera."""
    camera = {"kind": "http", "url": mjpeg.url, "trigger": {"tolerance_ms": 200}, "stale_after_s": 60}
    return write_config(tmp_path, bundle_path, {"top": camera}, broker=at(mosquitto.port))


def parts(mes: Subscriber) -> dict[str, str]:
    """By part id: why there was no verdict, or the verdict."""
    return {
        event["part_id"]: ",".join(event["verdict"]["reason"]) or event["verdict"]["name"] for event in mes.events()
    }


def streaming(mes: Subscriber) -> int:
    """How often the camera began to stream."""
    return sum(state["state"] == "streaming" for state in mes.events("top/status"))


def send(mes: Subscriber, part: int) -> None:
    """Those with even numbers have an id, and are sent twice, as by an MES that was not answered in time."""
    told = {"part_id": str(part)}
    for each in [told] if part % 2 else [{**told, "id": part}] * 2:
        mes.send(TOPIC, json.dumps(each).encode())


def test_triggers_sent_around_kills_and_while_the_station_is_away_get_one_event_each(
    config: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    process = run_command(config)
    mes.wait_for(lambda: streaming(mes) == 1)
    for number in range(10):
        send(mes, number)
    mes.wait_for(lambda: len(parts(mes)) >= 1)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=WAIT_S)
    for number in range(10, 15):
        send(mes, number)
    process = run_command(config)
    mes.wait_for(lambda: len(parts(mes)) == 15)
    mosquitto.stop()
    mosquitto.start()
    for number in range(15, 20):
        send(mes, number)
    mes.wait_for(lambda: len(parts(mes)) == 20)
    mes.wait_for(lambda: any(answer["id"] == "18" for answer in mes.events("top/trigger_refused")))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT_S)
    ids = {event["id"]: event["part_id"] for event in mes.events()}
    assert Counter(ids.values()) == Counter(str(number) for number in range(20))
    assert {parts(mes)[str(number)] for number in range(10, 15)} == {"no_frame"}
    answered = {tuple(answer["event_ids"]) for answer in mes.events("top/trigger_refused")}
    of_even = {(event,): int(part) for event, part in ids.items() if int(part) % 2 == 0}
    assert of_even.keys() >= answered >= {event for event, part in of_even.items() if part >= 10}


def test_many_triggers_at_once_are_told_of_soon_and_in_order(config: Path, mes: Subscriber) -> None:
    process = run_command(config)
    mes.wait_for(lambda: streaming(mes) == 1)
    for number in range(1000):
        mes.send(TOPIC, json.dumps({"part_id": number}).encode())
    mes.wait_for(lambda: len(mes.events()) >= 1000)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT_S)
    assert [event["seq"] for event in mes.events()] == list(range(1, 1001))
    assert set(parts(mes)) == {str(number) for number in range(1000)}
    assert set(parts(mes).values()) <= {"OK", "overrun", "no_frame"}  # on a busy machine the camera has none
