"""Sparkplug against a real mosquitto: what a host sees of a station whose broker or process is killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from runtime.delivery.publisher import Publisher
from runtime.mqtt.connector import Connector
from runtime.mqtt.settings import BrokerSettings
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import NewEvent
from runtime.outbox.settings import OutboxSettings
from runtime.parts.verdict import Verdict
from runtime.sparkplug.birth_number import next_birth_number
from runtime.sparkplug.node import EdgeNode
from runtime.sparkplug.sender import SparkplugSender, sending_sparkplug
from tests.runtime.broker import Mosquitto
from tests.runtime.command import at, folder, run_command, write_config
from tests.runtime.mes import Subscriber
from tests.runtime.odd_broker import DISCONNECT, PUBLISH, odd_broker
from tests.runtime.sparkplug.test_node import event
from tests.runtime.sparkplug_host import Host, kind, values
from tests.runtime.waiting import WAIT_S, wait_until

NCMD = "spBv1.0/line-1/NCMD/test-1"


@pytest.fixture
def host(mosquitto: Mosquitto) -> Iterator[Host]:
    mes = Subscriber(mosquitto.port, "spBv1.0/#")
    yield Host(mes)
    mes.close()


def numbers(payloads: list[Any]) -> list[int]:
    return [values(payload)["bdSeq"] for payload in payloads]


def test_a_host_sees_births_data_and_deaths_that_fit_over_kills_of_broker_and_station(
    tmp_path: Path, mosquitto: Mosquitto, host: Host
) -> None:
    cameras = {"top": folder(tmp_path), "side": folder(tmp_path)}
    config = write_config(
        tmp_path, tmp_path / "no-bundle", cameras, broker=at(mosquitto.port), sparkplug={"group": "line-1"}
    )
    station = run_command("simulate", str(config), "--rate", "20", folder=tmp_path)
    host.wait_for("DDATA", 50)
    assert [kind(message) for message in host.mes.messages[:3]] == ["NBIRTH", "DBIRTH", "DBIRTH"]
    assert {(message.qos, message.retain) for message in host.mes.messages} == {(0, False)}
    host.ask_for_rebirth(NCMD, lambda: numbers(host.heard("NBIRTH"))[:2] == [0, 0])

    mosquitto.stop(signal.SIGKILL)
    before = len(host.mes.messages)
    mosquitto.start()
    # QoS 0: a host that comes back later than the node has missed its birth, and asks for it.
    host.ask_for_rebirth(NCMD, lambda: numbers(host.heard("NBIRTH"))[-1] > 0)
    reborn = numbers(host.heard("NBIRTH"))[-1]
    host.wait_for("DDATA", len(host.heard("DDATA")) + 1)

    station.kill()
    assert numbers(host.wait_for("NDEATH", 1)) == [reborn]
    assert [message.qos for message in host.mes.messages if kind(message) == "NDEATH"] == [1]
    again = run_command("simulate", str(config), "--rate", "20", folder=tmp_path)
    host.mes.wait_for(lambda: numbers(host.heard("NBIRTH"))[-1] == reborn + 1)
    host.wait_for("DDATA", len(host.heard("DDATA")) + 1)
    again.terminate()
    assert again.wait(WAIT_S) == 0
    assert numbers(host.wait_for("NDEATH", 2)) == [reborn, reborn + 1]
    assert host.mes.messages[-1].topic == "spBv1.0/line-1/NDEATH/test-1"
    no_message_is_missing(host, host.mes.messages[:before])
    births = [at for at, message in enumerate(host.mes.messages) if kind(message) == "NBIRTH"]
    first = next(at for at in births if values(host.read(host.mes.messages[at]))["bdSeq"] == reborn)
    no_message_is_missing(host, host.mes.messages[first:])
    another_librarys_reader_agrees(host, tmp_path)


def no_message_is_missing(host: Host, messages: list[paho.MQTTMessage]) -> None:
    """From birth to birth, `seq` rises by one from message to message."""
    expected = 0
    for message in messages:
        if kind(message) in {"NBIRTH", "DBIRTH", "NDATA", "DDATA"}:
            expected = 0 if kind(message) == "NBIRTH" else expected
            assert host.read(message).seq == expected, message.topic
            expected = (expected + 1) % 256


READER = """
import json, sys
from pysparkplug import Topic
told = []
for topic, payload in json.load(sys.stdin):
    kind = Topic.from_str(topic).message_type
    read = kind.payload.decode(bytes.fromhex(payload))
    metrics = [read.bd_seq_metric] if kind == "NDEATH" else read.metrics
    told.append({metric.name: metric.value for metric in metrics})
json.dump(told, sys.stdout)
"""


def another_librarys_reader_agrees(host: Host, tmp_path: Path) -> None:
    """pysparkplug 0.6.1 wants a paho of before 2, so it reads in an environment of its own."""
    target = tmp_path / "pysparkplug"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target)]
    pip += ["pysparkplug==0.6.1", "paho-mqtt==1.6.1"]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"pip reaches no index: {installed.stderr.splitlines()[-1]}")
    messages = [message for message in host.mes.messages if kind(message) != "NCMD"]
    told = json.dumps([(message.topic, message.payload.hex()) for message in messages])
    environment = {"PYTHONPATH": str(target)}
    read = subprocess.run(
        [sys.executable, "-c", READER], input=told, capture_output=True, text=True, env=environment, check=True
    )
    assert json.loads(read.stdout) == [values(host.read(message)) for message in messages]


def test_what_waited_for_the_broker_is_history_but_for_the_newest(
    mosquitto: Mosquitto, host: Host, tmp_path: Path
) -> None:
    now_s = [100.0]
    outbox = Outbox(OutboxSettings(path=tmp_path / "old.sqlite"), machine=lambda: ("boot", now_s[0]))
    bodies = [json.dumps({**event(id=f"e{seq}", seq=seq, camera="top", station="s", source="s/top")}) for seq in (1, 2)]
    for body in bodies:
        del (stored := json.loads(body))["time"], stored["replayed"]
        outbox.add([NewEvent("plant/camera/top/result", "top", Verdict.OK, json.dumps(stored).encode())])
    now_s[0] += 6.0
    broker = BrokerSettings(host="127.0.0.1", port=mosquitto.port)
    publisher = Publisher(
        Connector(broker, "station"), outbox, "plant/status", dict.fromkeys(("version", "boot_id"), "")
    )
    node = EdgeNode("line-1", "test-1", "plant", {"top": ["top"]})
    with sending_sparkplug(broker, "station", node, tmp_path / "birth") as sender:
        publisher.on_acknowledged = sender.take
        publisher.retain("plant/camera/top/last", bodies[1].encode())
        publisher.start()
        history, newest = host.wait_for("DDATA", 2)
        publisher.stop("test", 1.0)
    outbox.close()
    assert {metric.is_historical for metric in history.metrics} == {True}
    assert {metric.is_historical for metric in newest.metrics} == {False}
    assert [values(data)["Event/Seq"] for data in (history, newest)] == [1, 2]
    assert host.wait_for("NDEATH", 1)


@pytest.mark.parametrize("is_slow", [False, True])
def test_a_broker_that_does_not_take_our_death_in_time_is_left_without_a_goodbye_so_that_it_sends_the_will(
    tmp_path: Path, is_slow: bool
) -> None:
    node = EdgeNode("line-1", "test-1", "plant", {"top": ["top"]})
    with odd_broker(lambda first, _body: b"" if is_slow and first >> 4 == PUBLISH else None) as broker:
        settings = BrokerSettings(host="127.0.0.1", port=broker.port)
        sender = SparkplugSender(Connector(settings, "station-sparkplug"), node, tmp_path / "birth")
        sender.start()
        wait_until(lambda: sender.state == "connected")
        sender.stop()
    assert broker.count(DISCONNECT) == (not is_slow)
    assert b"/NDEATH/" in broker.heard[-1 if is_slow else -2][1]


def test_an_outage_that_is_played_is_one_for_the_host_too(tmp_path: Path, mosquitto: Mosquitto, host: Host) -> None:
    sections = {"broker": at(mosquitto.port), "sparkplug": {"group": "line-1"}}
    config = write_config(tmp_path, tmp_path / "no-bundle", {"top": folder(tmp_path)}, **sections)
    station = run_command("simulate", str(config), "--rate", "10", "--scenario", "outage", folder=tmp_path)
    (death,) = numbers(host.wait_for("NDEATH", 1))[:1]
    host.mes.wait_for(lambda: numbers(host.heard("NBIRTH"))[-1] > death)
    station.kill()


def test_birth_numbers_go_on_over_restarts_round_and_round(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "birth"
    assert [next_birth_number(file) for _ in range(258)] == [*range(256), 0, 1]
    assert caplog.messages == []
    file.write_text("what?")
    assert next_birth_number(file) == 0
    assert next_birth_number(tmp_path / "gone" / "birth") == 0
    assert ["cannot be read" in caplog.messages[0], "cannot be kept" in caplog.messages[1]] == [True, True]
