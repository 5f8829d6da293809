"""Waiting for a state, with one limit for all tests; and a clock for what is not to wait."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress

WAIT_S = 60.0


class Clock:
    """Goes as a test sets it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def wait_until(reached: Callable[[], bool], every_s: float = 0.002, within_s: float = WAIT_S) -> None:
    """Wait for a state that has no event of its own; look less often where a look costs something."""
    until_s = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < until_s, "it never came"
        time.sleep(every_s)


def wait_for_port(port: int) -> None:
    """Wait until a program listens here."""

    def listens() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    wait_until(listens, every_s=0.005)
