"""Progress of long work, on stderr: what a command says on stdout may be for a program."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")

console = Console(stderr=True)


def counted(items: Sequence[T], name: str) -> Iterable[T]:
    """Show how far the work on `items` is, where somebody watches."""
    return track(items, name, transient=True, console=console, disable=not console.is_terminal)
