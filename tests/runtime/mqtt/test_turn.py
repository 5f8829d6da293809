"""Waiting for sockets, whatever their numbers."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from runtime.mqtt.turn import wait_ready

MANY = 1100


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection, whose numbers `select` does not take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(socket.socket())
        one, other = socket.socketpair()
        with one, other:
            assert one.fileno() > 1023
            yield one, other
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_comes_and_what_can_be_written_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    assert wait_ready([one], [], 0.0) == ([], [])
    assert wait_ready([one], [one], 1.0) == ([], [one])
    other.send(b"x")
    assert wait_ready([one, other], [one], 1.0) == ([one], [one])


def test_an_end_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    other.shutdown(socket.SHUT_RDWR)
    assert wait_ready([one], [], 1.0) == ([one], [])
