"""Waiting for a state, with one limit for all tests."""

import time
from collections.abc import Callable

WAIT_S = 60.0


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait for a state that has no event of its own."""
    until_s = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < until_s, "it never came"
        time.sleep(0.002)
