"""Losses: a broker that closes the connection at a message, without a word, keeps back that one and no other."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime.delivery import reading
from runtime.delivery.link import LinkState
from runtime.delivery.opening import open_publisher
from runtime.delivery.publisher import Publisher
from runtime.mqtt import losses, refusals
from runtime.mqtt.losses import IN_A_ROW, OF_A_TOPIC, Losses
from runtime.mqtt.settings import BrokerSettings
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import NewEvent
from runtime.outbox.settings import OutboxSettings
from runtime.parts.verdict import Verdict
from tests.runtime.broker import Mosquitto
from tests.runtime.delivery.conftest import STATUS
from tests.runtime.delivery.test_publisher import add
from tests.runtime.delivery.test_refusals import restart
from tests.runtime.odd_broker import CONNECT, PUBLISH, OddBroker, odd_broker
from tests.runtime.waiting import WAIT_S, Clock, wait_until

TOPIC = "plant/result"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection is tried again at once."""
    monkeypatch.setattr("runtime.threads.backoff.backoff_s", lambda *_: 0.01)


@contextmanager
def closing_at(is_refused: Callable[[bytes], object]) -> Iterator[OddBroker]:
    """A broker that closes the connection at messages, by topic and body."""

    def answer(first: int, body: bytes) -> bytes | None:
        if first >> 4 == PUBLISH and is_refused(body):
            raise ConnectionError
        return None

    with odd_broker(answer) as broker:
        yield broker


def taken(broker: OddBroker, is_refused: Callable[[bytes], object] = lambda _body: False) -> list[int]:
    """The numbers of the events that a broker took, in order; those that came twice once."""
    bodies = [body for first, body in list(broker.heard) if first >> 4 == PUBLISH and TOPIC.encode() in body[:30]]
    numbers = [int(body.rpartition(b'"seq":')[2].rstrip(b"}")) for body in bodies if not is_refused(body)]
    return list(dict.fromkeys(numbers))


def stands(publisher: Publisher) -> bool:
    """Whether the connection has stood for longer than any that ended."""
    return publisher.link.state == LinkState.CONNECTED and time.monotonic() - publisher.link.since_s > 0.5


def large(body: bytes) -> bool:
    return b"large" in body


def add_large(outbox: Outbox, seq: int, topic: str = TOPIC) -> None:
    outbox.add([NewEvent(topic, "a", Verdict.OK, b'{"large":1,"seq":%d}' % seq)])


@pytest.mark.parametrize("many", [1, 2])
def test_an_event_at_which_the_connection_ends_is_told_and_waits_while_the_others_go_out_in_order(
    outbox: Outbox, publish: Callable[..., Publisher], caplog: pytest.LogCaptureFixture, many: int
) -> None:
    add(outbox, 0, 10)
    for seq in range(10, 10 + many):
        add_large(outbox, seq)
    add(outbox, 20, 40)
    with closing_at(large) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: publisher.delivered.count == 50)
        assert publisher.wait_idle(WAIT_S)
        lost = broker.count(CONNECT)
        add(outbox, 60, 5)
        publisher.notify()
        wait_until(lambda: publisher.delivered.count == 55)
        assert (publisher.link.state, broker.count(CONNECT)) == (LinkState.CONNECTED, lost)
        assert "message_size_limit" in publisher.refused[TOPIC]
        publisher.stop("test", WAIT_S)
        assert taken(broker, large) == [*range(10), *range(20, 65)]
    assert outbox.depth == many
    assert caplog.text.count("broker refuses messages") == 1


def test_what_was_set_aside_goes_out_when_the_broker_takes_it(
    outbox: Outbox, publish: Callable[..., Publisher], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, is_mended = Clock(), list[bool]()
    monkeypatch.setattr(reading, "RETRY_AFTER_S", 0.05)
    monkeypatch.setattr(losses, "time", SimpleNamespace(monotonic=clock))
    for seq in range(3):
        add_large(outbox, seq)
    add(outbox, 3, 1)
    with closing_at(lambda body: not is_mended and large(body)) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: publisher.delivered.count == 1 and TOPIC in publisher.refused)
        is_mended.append(True)
        clock.now_s = 10 * losses.SELDOM_S
        wait_until(lambda: outbox.depth == 0 and not publisher.refused)


def test_a_retained_value_at_which_the_connection_ends_holds_up_no_event(
    outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    with closing_at(large) as broker:
        publisher = publish(broker.port)
        publisher.retain("plant/last", b"large")
        publisher.retain("plant/model", b"{}")
        wait_until(lambda: "plant/last" in publisher.refused)
        add(outbox, 0, 30)
        publisher.notify()
        assert publisher.wait_idle(WAIT_S)
        assert (publisher.delivered.count, list(publisher.refused)) == (30, ["plant/last"])


def test_a_topic_at_which_the_connection_always_ends_is_left_alone_as_a_whole(
    outbox: Outbox, publish: Callable[..., Publisher], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (losses, refusals):
        monkeypatch.setattr(module, "SELDOM_S", 0.5)
    monkeypatch.setattr(reading, "RETRY_AFTER_S", 0.05)
    is_mended: list[bool] = []
    other = NewEvent("plant/other", "b", Verdict.OK, b"{}")
    for seq in range(30):
        outbox.add([NewEvent(TOPIC, "a", Verdict.OK, b'{"seq":%d}' % seq), other])
    with closing_at(lambda body: not is_mended and TOPIC.encode() in body) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: publisher.delivered.count == 30 and TOPIC in publisher.refused)
        assert publisher.wait_idle(WAIT_S)
        tries = broker.count(CONNECT)
        is_mended.append(True)
        wait_until(lambda: outbox.depth == 0 and not publisher.refused)
        assert tries <= 2 * OF_A_TOPIC


@pytest.mark.parametrize("at", [range(2, 300, 7), [3, 4]], ids=["every seventh event", "twice at one"])
def test_a_line_that_fails_now_and_then_sets_nothing_aside(
    outbox: Outbox, publish: Callable[..., Publisher], at: list[int]
) -> None:
    add(outbox, 0, 100)
    heard: list[bytes] = []

    def fails(body: bytes) -> bool:
        heard.extend([body] * (TOPIC.encode() in body))
        return len(heard) in at and body == heard[-1]

    with closing_at(fails) as broker:
        publisher = publish(broker.port)
        assert publisher.wait_idle(WAIT_S)
        assert taken(broker) == list(range(100))
    assert (outbox.depth, publisher.refused) == (0, {})


@pytest.mark.parametrize("protocol", [5, "3.1.1"])
def test_mosquitto_that_ends_the_connection_at_what_is_too_large_gets_all_the_rest(
    mosquitto: Mosquitto, outbox: Outbox, publish: Callable[..., Publisher], protocol: object
) -> None:
    """It does so behind its answer, which under 3.1.1 says that it took the message."""
    restart(mosquitto, "max_queued_messages 0\nmessage_size_limit 1000\n")
    add(outbox, 0, 10)
    outbox.add([NewEvent(TOPIC, "a", Verdict.OK, b'{"seq":10,"large":"%s"}' % (b"x" * 1000))])
    add(outbox, 11, 10)
    publisher = publish(mosquitto.port, protocol=protocol)
    publisher.retain("plant/last", b"x" * 1001)
    kept = int(protocol == 5)
    wait_until(lambda: outbox.depth == kept and publisher.refused.keys() == {"plant/last", *[TOPIC] * kept})
    wait_until(lambda: stands(publisher))


def test_a_broker_that_ends_each_connection_before_it_took_anything_sets_nothing_aside(
    outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    add(outbox, 0, 5)
    is_mended: list[bool] = []
    with closing_at(lambda _body: not is_mended) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: broker.count(CONNECT) > 3 * IN_A_ROW)
        assert publisher.refused == {}
        is_mended.append(True)
        assert publisher.wait_idle(WAIT_S)
        assert taken(broker) == list(range(5))


def test_the_more_is_set_aside_the_more_seldom_each_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr("runtime.mqtt.losses.time.monotonic", lambda: now_s[0])
    found = Losses()
    for position in range(1, 4):
        for _ in range(IN_A_ROW):
            assert found.objection(position) is None
            found.lost(TOPIC, position)
        found.stood(TOPIC, 9)
    tries = []
    for minute in range(1, 121):
        now_s[0] = minute * 60.0
        for position in range(1, 4):
            if found.objection(position) is None:
                tries.append(minute)
                found.lost(TOPIC, position)
    assert 10 <= len(tries) <= 13


def test_what_is_sent_again_and_ends_the_connection_is_no_more_sent_again(tmp_path: Path) -> None:
    kept = OutboxSettings(path=tmp_path / "box.sqlite", journal_events=100)
    refuses: list[bool] = []
    with closing_at(lambda body: refuses and large(body)) as broker:
        settings = BrokerSettings(host="127.0.0.1", port=broker.port)
        with open_publisher(settings, kept, "station", STATUS, {}) as publisher:
            publisher.outbox.add(
                [
                    NewEvent(TOPIC, "a", Verdict.OK, b'{"camera":"a","large":%d,"boot_id":"b","seq":%d}' % (seq, seq))
                    for seq in range(5)
                ]
            )
            publisher.start()
            wait_until(lambda: publisher.delivered.count == 5)
            refuses.append(True)
            assert publisher.outbound.again.begin(1, None) == 5
            publisher.notify()
            wait_until(lambda: not publisher.outbound.again.is_under_way)
            assert publisher.wait_idle(WAIT_S)
            assert broker.count(CONNECT) <= 2 * IN_A_ROW
            publisher.stop("test", 0.0)
