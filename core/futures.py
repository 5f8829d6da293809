"""Futures: the results of what runs in threads, as they come."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

TURN_S = 0.5
T = TypeVar("T")


def results(futures: Iterable[Future[T]]) -> Iterator[T]:
    """Give the results in the order in which they come; raises what was raised there.

    A wait without an end would not hear of a Ctrl-C that came just before it began, or to another thread.
    """
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, TURN_S, FIRST_COMPLETED)
        yield from (each.result() for each in done)
