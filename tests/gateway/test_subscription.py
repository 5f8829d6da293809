"""The subscription at odd brokers: told in words, and its thread lives on."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway import subscription
from gateway.subscription import CONNECTED, Subscription
from runtime.delivery.connector import Connector
from runtime.delivery.message import Message
from runtime.delivery.settings import BrokerSettings
from tests.runtime.odd_broker import SUBSCRIBE, Answer, good, odd_broker, packet, published
from tests.runtime.waiting import WAIT_S, wait_until


@contextmanager
def hearing(answer: Answer) -> Iterator[tuple[Subscription, queue.SimpleQueue[str], list[Message]]]:
    """A subscription, how it says that it stands with the broker, and what it hears."""
    links, messages = queue.SimpleQueue[str](), list[Message]()
    with odd_broker(answer) as broker:
        connector = Connector(BrokerSettings(host="127.0.0.1", port=broker.port), "gateway")
        heard = Subscription(connector, ["p/status", "p/camera/+/last"], messages.append, links.put)
        heard.start()
        yield heard, links, messages
        heard.stop()
    assert heard.fault is None


def test_a_broker_that_answers_no_subscription_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "ANSWERS_S", 0.1)
    with hearing(lambda first, _body: b"" if first >> 4 == SUBSCRIBE else None) as (_heard, links, _messages):
        assert "subscription to p/status: it has not answered" in links.get(timeout=WAIT_S)


def test_an_answer_to_what_was_not_asked_costs_nothing() -> None:
    def answer(first: int, body: bytes) -> bytes | None:
        if first >> 4 != SUBSCRIBE:
            return None
        return good(first, body) + packet(0x90, b"\x7f\x7f\0\x87") + published(b"p/status", b"{}", retain=True)

    with hearing(answer) as (_heard, links, messages):
        assert links.get(timeout=WAIT_S) == CONNECTED
        wait_until(lambda: len(messages) == 2)


def test_a_denied_subscription_is_told_with_its_topic() -> None:
    with hearing(lambda first, body: packet(0x90, body[:2] + b"\0\x87") if first >> 4 == SUBSCRIBE else None) as told:
        assert "refused: subscription to p/status (Not authorized)" in told[1].get(timeout=WAIT_S)
