"""Steps of a long command: each is shown while it runs, with its time when it is done."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")

console = Console(stderr=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Show a step and the time it took."""
    started_s = time.perf_counter()
    with console.status(name):
        yield
    console.print(f"{name}: {time.perf_counter() - started_s:.1f} s", soft_wrap=True, highlight=False)


def counted(items: Iterable[T], name: str, total: int) -> Iterable[T]:
    """Show how far a step is."""
    # Where nobody watches it would leave empty lines.
    return track(items, name, total=total, transient=True, console=console, disable=not console.is_terminal)
