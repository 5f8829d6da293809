"""Brokers that are odd, and what is no broker at all: told in words, and the publisher lives on."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from core.config import parse_settings
from core.errors import BrokerError, ConfigError
from runtime.delivery import check
from runtime.delivery.link import LinkState
from runtime.delivery.publisher import Publisher
from runtime.mqtt import connection, refusals
from runtime.mqtt.connector import Connector
from runtime.mqtt.faults import Refused, Unreachable
from runtime.mqtt.message import Message, Outgoing
from runtime.mqtt.settings import BrokerSettings
from runtime.outbox.outbox import Outbox
from runtime.station.deadlines import require_broker
from tests.runtime.broker import Mosquitto
from tests.runtime.delivery.conftest import STATUS
from tests.runtime.delivery.test_publisher import add
from tests.runtime.odd_broker import (
    CONNECT,
    DISCONNECT,
    PUBLISH,
    SUBSCRIBE,
    good,
    number_of,
    odd_broker,
    packet,
    published,
)
from tests.runtime.waiting import wait_until


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection is tried again at once."""
    monkeypatch.setattr("runtime.threads.backoff.backoff_s", lambda *_: 0.01)


def test_a_broker_that_acknowledges_nothing_is_given_up_and_told_once(
    outbox: Outbox,
    publish: Callable[..., Publisher],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(connection, "UNANSWERED_S", 0.05)
    add(outbox, 0, 3)
    with odd_broker(lambda first, _body: b"" if first >> 4 == PUBLISH else None) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: broker.count(CONNECT) >= 2)
        assert publisher.link.state == LinkState.UNREACHABLE
        assert "has not acknowledged" in publisher.link.reason
        publisher.stop("test", 0.0)
    assert (outbox.depth, caplog.text.count("has not acknowledged"), "broker connected" in caplog.text) == (3, 1, False)


def test_what_went_without_an_answer_is_none() -> None:
    """Else a broker that acknowledges nothing would be told as connected whenever metrics are sent."""
    with odd_broker(lambda first, _body: b"" if first >> 4 == PUBLISH else None) as broker:
        opened = Connector(BrokerSettings(host="127.0.0.1", port=broker.port), "s").open()
        number = opened.publish(Outgoing("plant/metrics", b"{}", qos=0))
        assert number in opened.poll(1.0, None)
        assert not opened.is_answered
        opened.close()


def test_a_run_on_files_says_what_to_do_about_a_broker_that_takes_the_login_and_nothing_more(
    outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    add(outbox, 0, 3)
    with odd_broker(lambda first, _body: b"" if first >> 4 == PUBLISH else None) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: broker.count(PUBLISH) > 0)
        settings = BrokerSettings(host="127.0.0.1", port=broker.port, connect_timeout_s=0.001)
        words = "unreachable: it has acknowledged nothing for .* `run-inspection doctor` says .* 3 events wait"
        with pytest.raises(BrokerError, match=words):
            require_broker(publisher.link, settings, outbox)
        publisher.stop("test", 0.0)


def test_the_doctor_does_not_pass_a_broker_that_acknowledges_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "COMES_BACK_S", 0.3)
    with odd_broker(lambda first, _body: b"" if first >> 4 == PUBLISH else None) as broker:
        settings = BrokerSettings(host="127.0.0.1", port=broker.port)
        with pytest.raises(BrokerError, match="answers and refuses us: it has not acknowledged what we sent for"):
            check.check_broker(settings, "s", "plant/doctor")
    with odd_broker(good) as broker:  # which hands nothing on: that we may not read it is no fault
        settings = BrokerSettings(host="127.0.0.1", port=broker.port)
        assert "accepts the login" in check.check_broker(settings, "s", "plant/doctor")


def test_whatever_comes_over_the_line_costs_the_connection_alone() -> None:
    chance = random.Random(1)

    def damaged(first: int, body: bytes) -> bytes:
        said = bytearray(good(first, body) + published(b"plant/cmd/" + chance.randbytes(3), chance.randbytes(5)))
        for _ in range(chance.choice([0, 1, 2])):
            said[chance.randrange(len(said))] = chance.randrange(256)
        return bytes(said)

    ended: Counter[str] = Counter()
    with odd_broker(damaged) as broker:
        connector = Connector(BrokerSettings(host="127.0.0.1", port=broker.port, connect_timeout_s=0.1), "s")
        for _ in range(40):
            try:
                with closing(connector.open()) as opened:
                    opened.subscribe("plant/cmd/+")
                    opened.publish(Outgoing("plant/result", b"{}"))
                    for _ in range(3):
                        opened.poll(0.01, None)
                        opened.received()
                ended["stood"] += 1
            except (Unreachable, Refused) as fault:
                ended[str(fault)] += 1
    assert len(ended) > 1, ended


def test_a_message_whose_topic_is_no_text_is_left_out(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Message] = []

    def answer(first: int, body: bytes) -> bytes | None:
        if first >> 4 != SUBSCRIBE:
            return None
        return good(first, body) + published(b"plant/cmd/\xff", b"1") + published(b"plant/cmd/a", b"2", retain=True)

    with odd_broker(answer) as broker:
        publisher = Publisher(Connector(BrokerSettings(host="127.0.0.1", port=broker.port), "s"), outbox, STATUS, {})
        publisher.subscribe("plant/cmd/+", heard.append)
        publisher.start()
        wait_until(lambda: bool(heard))
        publisher.stop("test", 0.0)
    assert [(each.topic, each.retained) for each in heard] == [("plant/cmd/a", True)]
    assert "its topic is no valid text" in caplog.text
    assert broker.count(CONNECT) == 1


def test_a_refused_subscription_is_told_and_asked_for_again(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(refusals, "RETRY_AFTER_S", 0.1)
    is_mended: list[bool] = []
    denied = b"\x13\x1f\0\x10ask the bus team\x87"

    def answer(first: int, body: bytes) -> bytes | None:
        return packet(0x90, body[:2] + denied) if first >> 4 == SUBSCRIBE and not is_mended else None

    with odd_broker(answer) as broker:
        publisher = Publisher(Connector(BrokerSettings(host="127.0.0.1", port=broker.port), "s"), outbox, STATUS, {})
        publisher.subscribe("plant/cmd/+", lambda _message: None)
        publisher.start()
        wait_until(lambda: broker.count(SUBSCRIBE) >= 3)
        assert "ask the bus team" in publisher.refused["plant/cmd/+"]
        is_mended.append(True)
        wait_until(lambda: not publisher.refused)
        publisher.stop("test", 0.0)
    assert caplog.text.count("broker refuses the subscription") == 1
    assert publisher.fault is None


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(100), "no MQTT"),
        (packet(0x20, b"\0\x9d\x0f\x1c\0\x0cbroker2:1883"), "Server moved (broker2:1883); set broker.host"),
        (packet(0x20, b"\0\x86\x07\x1f\0\x04no\n!"), "Bad user name or password (no!); check broker.username"),
        (packet(0x20, b"\0\x83\0"), "Implementation specific error; the broker's own log says why"),
    ],
)
def test_a_login_that_is_answered_oddly_is_told_in_words(
    outbox: Outbox, publish: Callable[..., Publisher], said: bytes, words: str
) -> None:
    with odd_broker(lambda first, _body: said if first >> 4 == CONNECT else None) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: bool(publisher.link.reason))
        assert words in publisher.link.reason


def test_a_broker_that_hangs_up_at_the_login_is_told_with_what_to_look_at(
    outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    def hang_up(_first: int, _body: bytes) -> bytes:
        raise ConnectionAbortedError

    with odd_broker(hang_up) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: bool(publisher.link.reason))
        assert "check broker.port and broker.protocol, and whether it wants TLS" in publisher.link.reason
        assert "as many clients as it takes" in publisher.link.reason


@pytest.mark.parametrize("host", ["mqtt://mes", "mes:1883", "[::1]", "mes..example.com", "a" * 64, "mes example"])
def test_a_host_that_is_none_is_refused_with_the_file(host: str) -> None:
    with pytest.raises(ConfigError, match=r"host.*the name or address alone"):
        parse_settings({"host": host}, BrokerSettings, "inspection.yaml")


@pytest.mark.parametrize("host", ["mes.example.com", "10.0.0.5", "::1", "fe80::1%eth0", "mes_1", "münchen.example"])
def test_a_host_that_is_one_is_taken(host: str) -> None:
    assert BrokerSettings(host=host).address == (host, 1883)


def test_a_password_that_is_changed_is_read_again(
    mosquitto: Mosquitto, outbox: Outbox, publish: Callable[..., Publisher], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("old\n")
    mosquitto.stop()
    mosquitto.extra = mosquitto.password_file("station", "new")
    mosquitto.start()
    add(outbox, 0, 1)
    publisher = publish(mosquitto.port, username="station", password_file=str(file))
    wait_until(lambda: publisher.link.state == LinkState.REFUSED)
    file.unlink()
    wait_until(lambda: "password_file" in publisher.link.reason)
    file.write_text("new\n")
    wait_until(lambda: publisher.delivered.count == 1)


def test_a_broker_that_says_why_it_ends_the_connection_is_not_suspected_of_another_client(
    outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    with odd_broker(lambda first, _body: packet(0xE0, b"\x8b\0") if first >> 4 == PUBLISH else None) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: broker.count(CONNECT) >= 4)
        assert publisher.link.reason == "Server shutting down"


def test_an_acknowledgement_that_is_odd_counts_for_its_message_alone(
    outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    def answer(first: int, body: bytes) -> bytes | None:
        twice = packet(0x40, number_of(body)) * 2
        return packet(0x40, b"\x7f\x7f") + twice if first >> 4 == PUBLISH and first & 6 else None

    add(outbox, 0, 50)
    with odd_broker(answer) as broker:
        publisher = publish(broker.port)
        publisher.notify()
        wait_until(lambda: publisher.delivered.count == 50)
        publisher.stop("test", 1.0)
        assert (outbox.depth, broker.count(CONNECT)) == (0, 1)


@pytest.mark.parametrize("is_slow", [False, True])
def test_a_broker_that_does_not_take_our_goodbye_in_time_is_left_without_one_so_that_it_sends_the_will(
    outbox: Outbox, publish: Callable[..., Publisher], is_slow: bool
) -> None:
    def answer(first: int, body: bytes) -> bytes | None:
        if first >> 4 == CONNECT:
            return packet(0x20, b"\0\0\3\x21\0\1")  # it takes one message at a time
        return b"" if is_slow and first >> 4 == PUBLISH and b'"online"' not in body else None

    add(outbox, 0, 3)
    with odd_broker(answer) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: broker.count(PUBLISH) >= (2 if is_slow else 4))
        publisher.stop("test", 0.0)
    goodbyes = [body for first, body in broker.heard if first >> 4 == PUBLISH and b'"offline"' in body]
    assert (len(goodbyes), broker.count(DISCONNECT)) == ((0, 0) if is_slow else (1, 1))


def test_what_nobody_acknowledges_waits_for_no_acknowledgement(
    outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    """A verdict tells whoever rejects parts while a broker that is slow holds the events up."""

    def answer(first: int, body: bytes) -> bytes | None:
        if first >> 4 == CONNECT:
            return packet(0x20, b"\0\0\3\x21\0\1")  # it takes one message at a time
        return b"" if first >> 4 == PUBLISH and b"plant/result" in body else None

    add(outbox, 0, 3)
    with odd_broker(answer) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: broker.count(PUBLISH) == 2)
        publisher.send(Outgoing("plant/cmd_reply", b"{}"))
        for number in range(3):
            publisher.send(Outgoing("plant/verdict", b"%d" % number, qos=0))
        wait_until(lambda: broker.count(PUBLISH) == 5)
        told = [body[-1:] for first, body in broker.heard if first >> 4 == PUBLISH and b"plant/verdict" in body]
        publisher.stop("test", 0.0)
    assert (told, broker.count(PUBLISH)) == ([b"0", b"1", b"2"], 5)
