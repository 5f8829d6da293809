"""Outbound: whoever sends is woken for what it does not know of yet, and for nothing else."""

from contextlib import closing

import pytest

from runtime.delivery.outbound import MOST_PASSING, Outbound
from runtime.mqtt.message import Outgoing
from runtime.mqtt.turn import wait_ready


def rings(outbound: Outbound) -> bool:
    """Whether the bell rang since the last call."""
    is_ringing = bool(wait_ready([outbound.bell.heard], [], 0.0)[0])
    if is_ringing:
        outbound.bell.hear()
    return is_ringing


def test_values_of_a_retained_topic_ring_once_until_the_newest_is_taken() -> None:
    with closing(Outbound()) as outbound:
        outbound.retain("top/last", b"1")
        assert rings(outbound)
        outbound.retain("top/last", b"2")
        assert not rings(outbound)
        outbound.retain("top/counters", b"3")
        assert rings(outbound)
        taken = [outbound.take_retained(), outbound.take_retained()]
        assert [message and (message.topic, message.payload) for message in taken] == [
            ("top/last", b"2"),
            ("top/counters", b"3"),
        ]
        outbound.retain("top/last", b"4")
        assert rings(outbound)


def test_what_is_of_use_now_or_never_waits_in_bounds_and_only_while_there_is_a_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def send(count: int) -> None:
        for number in range(count):
            outbound.send(Outgoing("reply", b"%d" % number))

    def taken() -> list[int]:
        return [int(message.payload) for message in iter(lambda: outbound.take_passing(has_room=True), None)]

    with closing(Outbound()) as outbound:
        send(1)
        assert taken() == []
        outbound.begin_again(lambda: Outgoing("status", b"", retain=True))
        send(MOST_PASSING + 50)
        assert taken() == [*range(50, MOST_PASSING + 50)]
        assert caplog.text.count("older ones are dropped") == 1
        send(1)
        outbound.disconnected()
        assert taken() == []
