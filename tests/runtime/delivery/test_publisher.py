"""The publisher against a real mosquitto: order, retained topics, refusals, outages."""

import contextlib
import json
import signal
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runtime.delivery.link import LinkState
from runtime.delivery.publisher import Publisher
from runtime.mqtt.connector import Connector
from runtime.mqtt.message import Message, Outgoing
from runtime.mqtt.settings import BrokerSettings
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import NewEvent
from runtime.outbox.settings import OutboxSettings
from runtime.parts.verdict import Verdict
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.delivery.conftest import STATUS
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S, wait_until


def add(outbox: Outbox, first: int, count: int) -> None:
    outbox.add([NewEvent("plant/result", "a", Verdict.OK, b'{"seq":%d}' % seq) for seq in range(first, first + count)])


def has_state(publisher: Publisher, state: LinkState) -> bool:
    return publisher.link.state == state


def seqs(mes: Subscriber) -> list[int]:
    return [event["seq"] for event in mes.events()]


@pytest.mark.parametrize("protocol", [5, "3.1.1"])
def test_events_arrive_in_order_and_leave_the_outbox(
    mosquitto: Mosquitto, mes: Subscriber, outbox: Outbox, publish: Callable[..., Publisher], protocol: object
) -> None:
    publisher = publish(mosquitto.port, protocol=protocol)
    add(outbox, 0, 100)
    publisher.notify()
    assert publisher.wait_idle(WAIT_S)
    mes.wait_for(lambda: len(seqs(mes)) >= 100)
    assert seqs(mes) == list(range(100))
    assert (outbox.depth, publisher.delivered.count) == (0, 100)
    assert len(publisher.delivered.take_latencies_ms()) == 100
    assert publisher.delivered.take_latencies_ms() == []
    assert {event["replayed"] for event in mes.events()} == {False}


def test_version_5_messages_are_marked_as_json(mosquitto: Mosquitto, publish: Callable[..., Publisher]) -> None:
    publisher = publish(mosquitto.port)
    publisher.retain("plant/model", b"{}")
    assert publisher.wait_idle(WAIT_S)
    properties: Any = mosquitto.retained("plant/model").properties
    assert properties.ContentType == "application/json"
    assert properties.PayloadFormatIndicator == 1


def test_a_broker_that_is_killed_and_restarted_loses_nothing(
    mosquitto: Mosquitto, mes: Subscriber, outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    publisher = publish(mosquitto.port)
    add(outbox, 0, 500)
    publisher.notify()
    wait_until(lambda: publisher.delivered.count > 50)
    mosquitto.stop(signal.SIGKILL)
    add(outbox, 500, 500)
    publisher.notify()
    wait_until(lambda: publisher.link.state == LinkState.UNREACHABLE)
    mosquitto.start()
    assert publisher.wait_idle(WAIT_S)
    assert (outbox.depth, publisher.delivered.count) == (0, 1000)
    assert publisher.link.was_connected


def test_a_broker_that_has_nobody_to_give_events_to_is_told_once_and_a_session_that_is_away_is_somebody(
    mosquitto: Mosquitto, outbox: Outbox, publish: Callable[..., Publisher], caplog: pytest.LogCaptureFixture
) -> None:
    told = "broker gives our events to nobody topic=plant/result"
    Subscriber(mosquitto.port, "plant/result").close()
    publisher = publish(mosquitto.port)
    add(outbox, 0, 3)
    publisher.notify()
    wait_until(lambda: publisher.delivered.count == 3)
    assert told not in caplog.text
    mosquitto.stop()
    mosquitto.forget()
    mosquitto.start()
    add(outbox, 3, 3)
    publisher.notify()
    wait_until(lambda: publisher.delivered.count == 6)
    assert (caplog.text.count(told), publisher.refused) == (1, {})


def test_every_retained_topic_is_back_after_the_broker_lost_its_memory(
    mosquitto: Mosquitto, outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    publisher = publish(mosquitto.port)
    publisher.retain("plant/model", b'{"name":"m"}')
    assert publisher.wait_idle(WAIT_S)
    mosquitto.stop(signal.SIGKILL)
    mosquitto.forget()
    wait_until(lambda: publisher.link.state == LinkState.UNREACHABLE)
    mosquitto.start()
    wait_until(lambda: publisher.link.state == LinkState.CONNECTED)
    assert mosquitto.retained("plant/model").payload == b'{"name":"m"}'
    assert json.loads(mosquitto.retained(STATUS).payload)["state"] == "online"


def test_only_the_newest_value_of_a_retained_topic_counts(
    mosquitto: Mosquitto, mes: Subscriber, publish: Callable[..., Publisher]
) -> None:
    publisher = publish(mosquitto.port)
    for number in range(200):
        publisher.retain("plant/last", b'{"number":%d}' % number)
    assert publisher.wait_idle(WAIT_S)
    assert json.loads(mosquitto.retained("plant/last").payload) == {"number": 199}
    assert len(mes.events("/last")) < 200


def test_a_trouble_that_comes_while_a_connection_is_made_is_told(
    mosquitto: Mosquitto, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(
        Connector(BrokerSettings(host="127.0.0.1", port=mosquitto.port), "station"), outbox, STATUS, {"boot_id": "b"}
    )
    telling = threading.Thread(target=publisher.tell, args=("paused",))
    online = publisher._status.online

    def met_by_trouble() -> Outgoing:
        told = online()
        if threading.current_thread() is publisher and telling.ident is None:
            telling.start()  # the judging thread, in this very moment
            telling.join(0.2)
        return told

    monkeypatch.setattr(publisher._status, "online", met_by_trouble)
    publisher.start()
    wait_until(lambda: json.loads(mosquitto.retained(STATUS).payload)["reason"] == "paused")
    publisher.stop("test", 0.0)
    assert publisher.fault is None


def test_a_clean_stop_says_offline_and_why(mosquitto: Mosquitto, publish: Callable[..., Publisher]) -> None:
    publisher = publish(mosquitto.port)
    wait_until(lambda: publisher.link.state == LinkState.CONNECTED)
    publisher.stop("SIGTERM", 1.0)
    status = json.loads(mosquitto.retained(STATUS).payload)
    assert (status["state"], status["reason"], status["boot_id"]) == ("offline", "SIGTERM", "b")


def test_a_publisher_that_dies_leaves_its_will(mosquitto: Mosquitto, mes: Subscriber, outbox: Outbox) -> None:
    def stumble(_message: Message) -> None:
        raise RuntimeError("a fault of ours")

    publisher = Publisher(
        Connector(BrokerSettings(host="127.0.0.1", port=mosquitto.port), "station"), outbox, STATUS, {"boot_id": "b"}
    )
    publisher.subscribe("plant/trigger/top", stumble)
    publisher.start()
    mes.send_until("plant/trigger/top", b"1", lambda: publisher.fault is not None)
    mes.wait_for(lambda: mes.events("/status")[-1]["state"] == "offline")
    assert mes.events("/status")[-1]["reason"] == "connection lost"
    publisher.join(WAIT_S)


def test_a_stop_keeps_what_the_broker_did_not_take(outbox: Outbox, publish: Callable[..., Publisher]) -> None:
    publisher = publish(free_port())
    add(outbox, 0, 3)
    publisher.notify()
    wait_until(lambda: publisher.link.state == LinkState.UNREACHABLE)
    publisher.stop("SIGTERM", 0.1)
    assert not publisher.is_alive()
    assert outbox.depth == 3


def test_a_refused_login_is_told_apart_from_an_unreachable_broker(
    mosquitto: Mosquitto, outbox: Outbox, publish: Callable[..., Publisher], tmp_path: Path
) -> None:
    mosquitto.stop()
    mosquitto.extra = mosquitto.password_file("station", "right")
    mosquitto.start()
    (tmp_path / "wrong").write_text("wrong\n")
    (tmp_path / "right").write_text("right\n")
    add(outbox, 0, 1)
    for protocol in (5, "3.1.1"):
        refused = publish(mosquitto.port, username="station", password_file=str(tmp_path / "wrong"), protocol=protocol)
        wait_until(partial(has_state, refused, LinkState.REFUSED))
        assert "check broker.username" in refused.link.reason
        assert not refused.link.was_connected
        refused.stop("test", 0.0)
    assert outbox.depth == 1
    accepted = publish(mosquitto.port, username="station", password_file=str(tmp_path / "right"))
    accepted.notify()
    assert accepted.wait_idle(WAIT_S)
    assert outbox.depth == 0


def test_what_waited_long_is_marked_as_replayed(mosquitto: Mosquitto, mes: Subscriber, tmp_path: Path) -> None:
    now_s = [100.0]
    old = Outbox(OutboxSettings(path=tmp_path / "old.sqlite"), machine=lambda: ("boot", now_s[0]))
    add(old, 0, 1)
    now_s[0] += 6.0
    broker = BrokerSettings(host="127.0.0.1", port=mosquitto.port)
    publisher = Publisher(Connector(broker, "station"), old, STATUS, {})
    publisher.start()
    mes.wait_for(lambda: len(mes.events()) == 1)
    publisher.stop("test", 1.0)
    old.close()
    assert mes.events()[0]["replayed"] is True


def test_a_hanging_broker_does_not_hold_up_a_stop(
    mosquitto: Mosquitto, outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    publisher = publish(mosquitto.port)
    wait_until(lambda: publisher.link.state == LinkState.CONNECTED)
    assert mosquitto.process is not None
    mosquitto.process.send_signal(signal.SIGSTOP)
    add(outbox, 0, 200)
    publisher.notify()
    done = threading.Event()
    threading.Thread(target=lambda: (publisher.stop("SIGTERM", 0.3), done.set()), daemon=True).start()
    assert done.wait(2.0)
    publisher.join(WAIT_S)
    assert not publisher.is_alive()
    mosquitto.process.send_signal(signal.SIGCONT)
    assert outbox.depth == 200


def test_version_5_says_what_the_payload_is_and_how_long_it_matters(
    mosquitto: Mosquitto, outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    told = ["mosquitto_sub", "-p", str(mosquitto.port), "-V", "5", "-q", "1", "-W", "20", "-C", "1"]
    told += ["-t", "plant/result", "-F", "%C %E %F %P"]
    subscriber = subprocess.Popen(told, stdout=subprocess.PIPE, text=True)
    publisher = publish(mosquitto.port)
    while subscriber.poll() is None:  # until it has subscribed it hears nothing
        add(outbox, 0, 1)
        publisher.notify()
        with contextlib.suppress(subprocess.TimeoutExpired):
            subscriber.wait(0.1)
    line = subscriber.communicate()[0]
    media_type, expiry_s, is_text, user = line.split(" ", 3)
    assert (media_type, is_text) == ("application/json", "1")
    assert abs(int(expiry_s) - 30 * 86400) < 60
    assert user.strip() == "schema:urn:p-wae:inspection:1 replayed:false"


def test_two_stations_with_one_client_id_are_noticed(
    mosquitto: Mosquitto, tmp_path: Path, publish: Callable[..., Publisher]
) -> None:
    one = publish(mosquitto.port)
    wait_until(lambda: one.link.state == LinkState.CONNECTED)
    box = Outbox(OutboxSettings(path=tmp_path / "other.sqlite"))
    broker = BrokerSettings(host="127.0.0.1", port=mosquitto.port)
    other = Publisher(Connector(broker, "station"), box, STATUS, {"boot_id": "c"})
    other.start()
    noticed: set[int] = set()

    def both_have() -> bool:
        for number, publisher in enumerate((one, other)):
            if "id (station); give each station its own `station`, or where" in publisher.link.reason:
                noticed.add(number)
        return len(noticed) == 2

    wait_until(both_have)
    other.stop("test", 0.0)
    box.close()
