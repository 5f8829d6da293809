"""Progress of long work, on stderr: what a command says on stdout may be for a program."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import Progress, track

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


class Steps(Protocol):
    """What long work in equal steps tells of itself."""

    def skip(self, steps: int) -> None:
        """Count steps that were done before, which say nothing of the time that one takes."""

    def advance(self) -> None:
        """Count a step that is done."""


class Countdown:
    """How far long work in equal steps is, and the time left: a bar where somebody watches, else ten lines in all."""

    def __init__(self, name: str, steps: int) -> None:
        self._name = name
        self._steps = steps
        self._done = 0
        self._skipped = 0
        self._tenths = 0
        self._started_s = time.monotonic()
        self._bar = Progress(transient=True, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task(name, total=steps)

    def __enter__(self) -> "Countdown":
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Take it away."""
        self._bar.stop()

    def skip(self, steps: int) -> None:
        """Count steps that were done before, which say nothing of the time that one takes."""
        if steps:
            self._skipped += steps
            self._bar.reset(self._task, completed=self._skipped + self._done)

    def advance(self) -> None:
        """Count a step that is done."""
        self._done += 1
        self._bar.advance(self._task)
        left = self._steps - self._skipped - self._done
        tenths = 10 * (self._steps - left) // self._steps
        if tenths > self._tenths and not console.is_terminal:
            self._tenths = tenths
            left_s = (time.monotonic() - self._started_s) / self._done * left
            time_left = f"{left_s / 60:.0f} min" if left_s >= 60 else f"{left_s:.0f} s"
            told = f", about {time_left} left" if tenths < 10 else ""
            console.print(f"{self._name}: {10 * tenths} %{told}", soft_wrap=True, highlight=False)
