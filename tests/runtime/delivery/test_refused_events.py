"""Events that a broker refuses for themselves: tried again without a new connection, told for as long as they wait."""

from collections.abc import Callable

import pytest

from runtime.delivery import reading
from runtime.delivery.publisher import Publisher
from runtime.delivery.reading import Reading
from runtime.mqtt.refusals import Refusals
from runtime.outbox.outbox import Outbox
from tests.runtime.delivery.test_publisher import add
from tests.runtime.odd_broker import CONNECT, PUBLISH, Answer, number_of, odd_broker, packet
from tests.runtime.waiting import WAIT_S, wait_until

TOPIC = "plant/result"


def refusing(is_refused: Callable[[bytes], bool], reason: int) -> Answer:
    """Refuse events by their bodies."""

    def answer(first: int, body: bytes) -> bytes | None:
        is_event = first >> 4 == PUBLISH and TOPIC.encode() in body
        return packet(0x40, number_of(body) + bytes([reason, 0])) if is_event and is_refused(body) else None

    return answer


@pytest.mark.parametrize("reason", [0x80, 0x83, 0x91, 0x99])
def test_what_was_refused_goes_out_when_the_broker_is_mended_and_the_connection_stands(
    outbox: Outbox, publish: Callable[..., Publisher], monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    monkeypatch.setattr(reading, "RETRY_AFTER_S", 0.1)
    is_mended: list[bool] = []
    add(outbox, 0, 5)
    with odd_broker(refusing(lambda _body: not is_mended, reason)) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: TOPIC in publisher.refused)
        is_mended.append(True)
        wait_until(lambda: publisher.delivered.count == 5 and not publisher.refused)
        assert (outbox.depth, broker.count(CONNECT)) == (0, 1)


def test_a_topic_of_which_one_event_is_refused_is_told_once_for_as_long_as_that_waits(
    outbox: Outbox, publish: Callable[..., Publisher], caplog: pytest.LogCaptureFixture
) -> None:
    add(outbox, 0, 40)
    with odd_broker(refusing(lambda body: body[-2] % 2 == 0, 0x99)) as broker:
        publisher = publish(broker.port)
        wait_until(lambda: publisher.delivered.count == 20)
        assert publisher.wait_idle(WAIT_S)
        assert publisher.refused.keys() == {TOPIC}
        publisher.stop("test", WAIT_S)
    assert outbox.depth == 20
    assert caplog.text.count("broker refuses messages") == 1
    assert "no longer refuses" not in caplog.text


@pytest.mark.parametrize("gone", [0, 1], ids=["the oldest", "a good part, before an older bad one"])
def test_a_refused_event_that_the_outbox_gave_up_is_refused_no_more(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, gone: int
) -> None:
    monkeypatch.setattr(reading, "RETRY_AFTER_S", 0.0)
    monkeypatch.setattr(reading, "RETRIES_A_SECOND", float("inf"))
    add(outbox, 0, 3)
    first = Reading(outbox, Refusals())
    events = list(first.read(10, set()))
    kept = [events[1 - gone], events[2]]
    for event in events[:2]:
        first.pass_over(event)
    outbox.remove([events[gone]])
    first.look_back()
    assert first.is_refused(TOPIC)
    assert list(first.read(10, set())) == kept
    first.took(kept)
    assert not first.is_refused(TOPIC)


def test_the_more_events_are_refused_the_later_they_are_tried_again(outbox: Outbox) -> None:
    add(outbox, 0, 200)
    one, many = Reading(outbox, Refusals()), Reading(outbox, Refusals())
    for event in one.read(1, set()):
        one.pass_over(event)
    for event in many.read(200, set()):
        many.pass_over(event)
    assert many.due_s - one.due_s > 1.5
