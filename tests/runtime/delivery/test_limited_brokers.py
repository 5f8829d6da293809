"""Brokers that take less than they should, by what they say or by what they leave out: told, and the rest goes on."""

from collections.abc import Callable

import pytest

from core.errors import BrokerError, ConfigError
from runtime.delivery import check
from runtime.delivery.check import check_broker
from runtime.delivery.link import LinkState
from runtime.delivery.publisher import Publisher
from runtime.mqtt import listening, refusals
from runtime.mqtt.connector import Connector
from runtime.mqtt.faults import Unreachable
from runtime.mqtt.settings import BrokerSettings
from runtime.outbox.outbox import Outbox
from tests.runtime.delivery.conftest import STATUS
from tests.runtime.delivery.test_publisher import add
from tests.runtime.odd_broker import CONNECT, PUBLISH, SUBSCRIBE, Answer, good, number_of, odd_broker, packet
from tests.runtime.waiting import WAIT_S, wait_until


def answering(kind: int, said: bytes) -> Answer:
    return lambda first, _body: said if first >> 4 == kind else None


def refusing(kind: int, reason: int) -> Answer:
    return lambda first, body: packet(0x40, number_of(body) + bytes([reason, 0])) if first >> 4 == kind else None


def connack(properties: bytes, reason: int = 0) -> bytes:
    return packet(0x20, bytes([0, reason, len(properties)]) + properties)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection is tried again at once."""
    monkeypatch.setattr("runtime.threads.backoff.backoff_s", lambda *_: 0.01)


def listener(port: int, outbox: Outbox) -> Publisher:
    """A publisher that hears commands and triggers."""
    publisher = Publisher(Connector(BrokerSettings(host="127.0.0.1", port=port), "s"), outbox, STATUS, {})
    publisher.subscribe("plant/cmd/+", lambda _message: None)
    publisher.subscribe_lasting("plant/trigger/top", lambda _messages: None)
    publisher.start()
    return publisher


def test_a_retained_value_that_is_too_large_is_told_and_holds_up_nothing(
    outbox: Outbox, publish: Callable[..., Publisher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "RETRY_AFTER_S", 0.2)
    with odd_broker(answering(CONNECT, connack(b"\x27\0\0\1\0"))) as broker:
        publisher = publish(broker.port)
        publisher.retain("plant/model", b" " * 300)
        add(outbox, 0, 5)
        publisher.notify()
        wait_until(lambda: publisher.delivered.count == 5 and "plant/model" in publisher.refused)
        assert publisher.refused["plant/model"].startswith("packets of 1 kB: it takes no more than 256 bytes")
        assert "access list" not in publisher.refused["plant/model"]
        publisher.retain("plant/model", b"small")
        wait_until(lambda: not publisher.refused)
        assert broker.count(CONNECT) == 1


def test_a_status_that_is_too_large_is_not_sent_at_the_end(outbox: Outbox, publish: Callable[..., Publisher]) -> None:
    with odd_broker(answering(CONNECT, connack(b"\x27\0\0\0\x28"))) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: STATUS in publisher.refused)
        publisher.stop("test", WAIT_S)
        assert broker.count(PUBLISH) == 0


def test_a_subscription_that_is_never_answered_is_told_and_asked_for_again(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "ANSWERS_S", 0.1)
    monkeypatch.setattr(refusals, "RETRY_AFTER_S", 0.1)
    is_mended: list[bool] = []
    add(outbox, 0, 5)
    with odd_broker(lambda first, _body: b"" if first >> 4 == SUBSCRIBE and not is_mended else None) as broker:
        publisher = listener(broker.port, outbox)
        wait_until(lambda: len(publisher.refused) == 2 and publisher.delivered.count == 5)
        assert "not answered" in publisher.refused["plant/cmd/+"]
        is_mended.append(True)
        wait_until(lambda: not publisher.refused)
        publisher.stop("test", 0.0)
        assert (publisher.fault, broker.count(CONNECT)) == (None, 1)


@pytest.mark.parametrize(("qos", "is_told"), [(0, True), (1, False)])
def test_triggers_that_the_broker_would_not_keep_are_told(
    outbox: Outbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, qos: int, is_told: bool
) -> None:
    monkeypatch.setattr(check, "COMES_BACK_S", 0.2)

    def answer(first: int, body: bytes) -> bytes | None:
        return packet(0x90, body[:2] + bytes([0, qos])) if first >> 4 == SUBSCRIBE else None

    with odd_broker(answer) as broker:
        publisher = listener(broker.port, outbox)
        wait_until(lambda: broker.count(SUBSCRIBE) == 2 and publisher.link.state == LinkState.CONNECTED)
        publisher.stop("test", 0.0)
        filters = {"plant/cmd/+": 0, "plant/trigger/top": 1}
        found = check_broker(BrokerSettings(host="127.0.0.1", port=broker.port), "s", "plant/doctor", filters)
    assert ("plant/trigger/top reason='it hands on what is sent there with QoS 0" in caplog.text) == is_told
    assert ("plant/trigger/top: it hands on" in found, "plant/cmd" in found + caplog.text) == (is_told, False)


def test_a_broker_without_wildcards_is_asked_for_none(outbox: Outbox) -> None:
    """Such a broker ends the connection at one, and no event would ever go out."""

    def answer(first: int, body: bytes) -> bytes | None:
        if first >> 4 == SUBSCRIBE and b"+" in body:
            return packet(0xE0, b"\xa2\0")
        return connack(b"\x28\0") if first >> 4 == CONNECT else None

    add(outbox, 0, 5)
    with odd_broker(answer) as broker:
        publisher = listener(broker.port, outbox)
        wait_until(lambda: publisher.delivered.count == 5)
        wait_until(lambda: list(publisher.refused) == ["plant/cmd/+"])
        assert "wildcards" in publisher.refused["plant/cmd/+"]
        publisher.stop("test", 0.0)
        assert (publisher.fault, broker.count(CONNECT)) == (None, 1)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (answering(CONNECT, connack(b"", 0x97)), "no broker to be used at .* .Quota exceeded: it is tried again."),
        (refusing(PUBLISH, 0x99), r"Payload format invalid on plant/doctor\.$"),
        (refusing(PUBLISH, 0x87), r"Not authorized on plant/doctor; let this user write there"),
        (
            answering(PUBLISH, packet(0xE0, b"\x93\0")),
            r"plant/doctor the connection ended: Receive maximum exceeded\.$",
        ),
        (answering(PUBLISH, packet(0xE0, b"\0\0")), r"closes the connection at our message: its access list denies"),
        (answering(CONNECT, connack(b"\x28\0")), r"with wildcards on plant/cmd/\+\.$"),
    ],
)
def test_the_doctor_names_the_remedy_of_what_is_wrong_and_of_nothing_else(answer: Answer, told: str) -> None:
    with odd_broker(answer) as broker, pytest.raises(BrokerError, match=told):
        check_broker(BrokerSettings(host="127.0.0.1", port=broker.port), "s", "plant/doctor", {"plant/cmd/+": 0})


def test_a_session_that_is_kept_for_less_than_asked_is_told(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    with odd_broker(answering(CONNECT, connack(b"\x11\0\0\0\x3c"))) as broker:
        publisher = listener(broker.port, outbox)
        wait_until(lambda: publisher.link.state == LinkState.CONNECTED)
        publisher.stop("test", 0.0)
    assert "for 60 s, and not for a day" in caplog.text


@pytest.mark.parametrize("kind", [SUBSCRIBE, PUBLISH])
def test_a_broker_that_ends_the_connection_at_what_it_denies_is_not_a_login_that_is_wrong(
    outbox: Outbox, kind: int
) -> None:
    with odd_broker(answering(kind, packet(0xE0, b"\x87\0"))) as broker:
        publisher = listener(broker.port, outbox)
        wait_until(lambda: publisher.link.state == LinkState.UNREACHABLE)
        publisher.stop("test", 0.0)
    assert "access list" in publisher.link.reason
    assert "password" not in publisher.link.reason


def test_a_will_whose_topic_the_broker_does_not_take_is_done_without(outbox: Outbox) -> None:
    has_will = 4  # of the flags behind the protocol's name and version

    def answer(first: int, body: bytes) -> bytes | None:
        return connack(b"", 0x90) if first >> 4 == CONNECT and body[7] & has_will else good(first, body)

    add(outbox, 0, 5)
    with odd_broker(answer) as broker:
        publisher = listener(broker.port, outbox)
        wait_until(lambda: publisher.delivered.count == 5)
        publisher.stop("test", 0.0)


@pytest.mark.parametrize("password", ["\udcff", "x" * 65_536])
def test_a_password_that_no_login_can_carry_is_refused_with_its_place(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("PWAE_MQTT_PASSWORD", password)
    told = {"host": "127.0.0.1", "username": "u", "password_env": "PWAE_MQTT_PASSWORD"}
    broker = BrokerSettings.model_validate(told)
    with pytest.raises(ConfigError, match=r"PWAE_MQTT_PASSWORD holds what is no text"):
        Connector(broker, "s")


def test_a_broker_that_does_not_answer_the_login_may_know_another_version(outbox: Outbox) -> None:
    """Some that know 3.1.1 alone, or 5 alone, keep the connection and say nothing."""
    told = {"host": "127.0.0.1", "connect_timeout_s": 0.1}
    with odd_broker(answering(CONNECT, b"")) as broker, pytest.raises(Unreachable, match=r"broker\.protocol"):
        Connector(BrokerSettings.model_validate({**told, "port": broker.port}), "s").open()


def test_a_connection_that_is_closed_again_and_again_has_more_than_one_explanation(
    outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    with odd_broker(answering(PUBLISH, packet(0xE0, b"\0\0"))) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: "again and again" in publisher.link.reason)
    assert "another client has this one's id" in publisher.link.reason
    assert "run-inspection doctor" in publisher.link.reason
