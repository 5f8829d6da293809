"""The follower at odd brokers: told in words, asked again, nothing lost, and its thread lives on."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime.following import filters
from runtime.following.follower import CONNECTED, Contact, Follower
from runtime.mqtt.message import Message, Outgoing
from runtime.mqtt.settings import BrokerSettings
from runtime.mqtt.words import ACCESS
from tests.runtime.broker import Mosquitto
from tests.runtime.odd_broker import (
    CONNECT,
    DISCONNECT,
    PUBLISH,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Answer,
    good,
    number_of,
    odd_broker,
    packet,
    published,
)
from tests.runtime.waiting import WAIT_S, wait_until

FILTERS = ("p/status", "p/model", "p/camera/+/last")
DENIED = b"\0\x87"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection is tried again at once."""
    monkeypatch.setattr("runtime.threads.backoff.backoff_s", lambda *_: 0.01)


def at(port: int) -> BrokerSettings:
    return BrokerSettings(host="127.0.0.1", port=port, connect_timeout_s=WAIT_S)


@contextmanager
def following(answer: Answer) -> Iterator[tuple["queue.SimpleQueue[Contact]", list[Message]]]:
    """How a follower says that it stands with the broker, and what it hears."""
    contacts, messages = queue.SimpleQueue[Contact](), list[Message]()
    with odd_broker(answer) as broker:
        follower = Follower(
            at(broker.port), "gateway", dict.fromkeys(FILTERS, messages.append), on_contact=contacts.put
        )
        with follower:
            yield contacts, messages
            follower.require_thread()


def denying(*denied: bytes) -> Answer:
    """Deny the subscriptions to these filters."""

    def answer(first: int, body: bytes) -> bytes | None:
        is_denied = first >> 4 == SUBSCRIBE and any(each in body for each in denied)
        return packet(0x90, body[:2] + DENIED) if is_denied else None

    return answer


def test_a_broker_that_answers_no_subscription_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "ANSWERS_S", 0.1)
    with following(lambda first, _body: b"" if first >> 4 == SUBSCRIBE else None) as (contacts, _messages):
        told = contacts.get(timeout=WAIT_S)
    assert "nothing from p/status (it has not answered that we subscribe" in told.words
    assert "nor from 2 more" in told.words


def test_it_is_through_when_all_that_was_retained_has_come_however_long_the_line_takes() -> None:
    """Brokers answer a subscription before they send what is retained there, and a line may stand still behind that."""
    late = published(b"p/camera/top/last", b"{}", retain=True)
    with following(lambda first, body: late + good(first, body) if first >> 4 == UNSUBSCRIBE else None) as heard:
        links, messages = heard
        assert links.get(timeout=WAIT_S).is_whole
        assert [message.payload for message in messages] == [b"{}"]


def test_an_answer_to_what_was_not_asked_costs_nothing() -> None:
    def answer(first: int, body: bytes) -> bytes | None:
        if first >> 4 != SUBSCRIBE:
            return None
        return good(first, body) + packet(0x90, b"\x7f\x7f\0\x87") + published(b"p/status", b"{}", retain=True)

    with following(answer) as (contacts, messages):
        assert contacts.get(timeout=WAIT_S) == Contact(CONNECTED, is_up=True)
        wait_until(lambda: len(messages) == len(FILTERS))


def test_a_denied_subscription_is_told_with_its_topic_and_the_others_are_heard() -> None:
    def answer(first: int, body: bytes) -> bytes | None:
        if first >> 4 == SUBSCRIBE and b"p/camera" in body:
            return good(first, body) + published(b"p/camera/top/last", b"{}", retain=True)
        return denying(b"p/status")(first, body)

    with following(answer) as (contacts, messages):
        told = contacts.get(timeout=WAIT_S)
        assert (told.is_up, told.is_whole) == (True, False)
        assert told.words == f"it sends us nothing from p/status (Not authorized; {ACCESS})"
        wait_until(lambda: bool(messages))


def test_of_filters_that_stay_denied_nothing_is_told_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(filters, "RETRY_AFTER_S", 0.01)
    with odd_broker(denying(b"p/status", b"p/model")) as broker:
        with Follower(at(broker.port), "gateway", dict.fromkeys(FILTERS, print)):
            wait_until(lambda: broker.count(SUBSCRIBE) >= len(FILTERS) + 6)
        assert broker.count(CONNECT) == 1
    assert caplog.text.count("nothing from p/status") == 1
    assert "nothing from p/model" not in caplog.text


def test_who_does_not_do_with_half_leaves_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """What a broker would tell at each try, before it denies the rest, nobody hears: it would be taken for current."""
    told = list[Message | Contact]()

    def answer(first: int, body: bytes) -> bytes | None:
        if first >> 4 == SUBSCRIBE and b"p/status" in body:
            return good(first, body) + published(b"p/status", b"{}", retain=True)
        return denying(b"p/model")(first, body)

    handlers = dict.fromkeys(FILTERS, told.append)
    with (
        odd_broker(answer) as broker,
        Follower(at(broker.port), "gateway", handlers, on_contact=told.append, needs_all=True),
    ):
        wait_until(lambda: broker.count(CONNECT) >= 4)
    contacts = [each for each in told if isinstance(each, Contact)]
    assert len(told) - len(contacts) <= 1, "of the first try, at which it was not known"
    assert [contact.is_up for contact in contacts] == [False]
    assert contacts[0].words.startswith("refused: it sends us nothing from p/model")
    assert caplog.text.count("nothing from p/model") == 1


def test_whoever_heard_something_before_all_was_subscribed_is_told_again_that_the_broker_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A gateway would serve what it heard as current, from then on."""
    told = list[Message | Contact]()

    def answer(first: int, body: bytes) -> bytes | None:
        if first >> 4 == SUBSCRIBE and b"p/status" in body:
            return good(first, body) + published(b"p/status", b"{}", retain=True)
        return packet(0xE0, b"\x8b\0") if first >> 4 == SUBSCRIBE else None

    handlers = dict.fromkeys(FILTERS, told.append)
    with odd_broker(answer) as broker, Follower(at(broker.port), "gateway", handlers, on_contact=told.append):
        wait_until(lambda: len(told) >= 6)
    assert [isinstance(each, Contact) for each in told[:6]] == [False, True] * 3
    assert caplog.text.count("broker unreachable") == 1


def test_what_was_not_acknowledged_goes_out_again_in_its_order() -> None:
    taken: list[bytes] = []

    def answer(first: int, body: bytes) -> bytes | None:
        if first >> 4 != PUBLISH:
            return None
        if broker.count(CONNECT) == 1:
            return packet(0xE0, b"\x8b\0")
        taken.append(body[-1:])
        return packet(0x40, number_of(body) + (b"\x87\0" if body[-1:] == b"1" else b"\0\0"))

    with odd_broker(answer) as broker:
        line = Follower(at(broker.port), "agent", {})
        with line:
            publications = [line.publish(Outgoing("a", b"%d" % number)) for number in range(3)]
            assert all(each.wait(WAIT_S) for each in publications)
    assert (taken, [each.refusal for each in publications]) == (
        [b"0", b"1", b"2"],
        ["", f"Not authorized; {ACCESS}", ""],
    )


def test_what_is_withdrawn_while_the_broker_is_away_never_goes_out(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    with Follower(at(mosquitto.port), "agent", {}) as line:
        old = line.publish(Outgoing("old", b"1", retain=True))
        old.withdraw()
        new = line.publish(Outgoing("new", b"1", retain=True))
        mosquitto.start()
        assert new.wait(WAIT_S)
        assert mosquitto.retained("#").topic == "new"


@pytest.mark.parametrize("is_slow", [False, True])
def test_a_broker_that_does_not_take_the_last_word_is_left_without_a_goodbye_so_that_it_sends_the_will(
    is_slow: bool,
) -> None:
    last = Outgoing("agent", b"offline", retain=True)
    with (
        odd_broker(lambda first, _body: b"" if is_slow and first >> 4 == PUBLISH else None) as broker,
        Follower(at(broker.port), "agent", {}, will=last) as line,
    ):
        publication = line.publish(last)
        wait_until(lambda: publication.is_settled or (is_slow and broker.count(PUBLISH) == 1))
    assert broker.count(DISCONNECT) == (not is_slow)
