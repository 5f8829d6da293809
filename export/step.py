"""Steps of a long command: each is shown while it runs, with its time when it is done."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.progress import console


@contextmanager
def step(name: str) -> Iterator[None]:
    """Show a step and the time it took."""
    started_s = time.perf_counter()
    with console.status(name):
        yield
    console.print(f"{name}: {time.perf_counter() - started_s:.1f} s", soft_wrap=True, highlight=False)
