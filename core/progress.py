"""Progress of long work, on stderr: what a command says on stdout may be for a program."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")

console = Console(stderr=True)


def counted(items: Sequence[T], name: str) -> Iterable[T]:
    """Show how far the work on `items` is, where somebody watches."""
    return track(items, name, transient=True, console=console, disable=not console.is_terminal)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Show a step while it runs, and the time it took when it is done."""
    started_s = time.perf_counter()
    with console.status(name):
        yield
    console.print(f"{name}: {time.perf_counter() - started_s:.1f} s", soft_wrap=True, highlight=False)
