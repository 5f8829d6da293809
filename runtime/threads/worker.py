"""Workers: every thread beside the judging one. What kills it is kept for whoever looks, and never lost."""

import threading
import time
from collections.abc import Callable, Iterable

from core.errors import PwaeError, one_line

MORE_THREADS = "allow the process more (`TasksMax` of its unit, `--pids-limit` of Docker, `ulimit -u`), or free memory"


class Worker(threading.Thread):
    """Does one piece of work on a thread of its own, from `start` until the work returns or raises.

    A daemon: one that blocks in a driver is left behind when the process ends.
    """

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        """`name` is the thread's, in logs and in docs/architecture.md."""
        super().__init__(name=name, daemon=True)
        self.fault: BaseException | None = None
        """What `work` raised; None while all is well. Whoever started it looks, and raises it on its own thread."""
        self._work = work

    def start(self) -> None:
        """Begin. Raises PwaeError where this machine lets the process have no further thread."""
        try:
            super().start()
        except RuntimeError as error:
            raise PwaeError(
                f"the thread `{self.name}` cannot be started: {one_line(error)}; {MORE_THREADS}."
            ) from error

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end; of one that was not started at once."""
        if self.ident is not None:
            super().join(timeout)

    def run(self) -> None:
        """Do the work; called by `start`, on the new thread."""
        try:
            self._work()
        except BaseException as error:  # carried to the thread that looks
            self.fault = error


def join_all(workers: Iterable[Worker], within_s: float) -> None:
    """Wait for the ends of `workers`, for so long in all: one that blocks is left behind."""
    until_s = time.monotonic() + within_s
    for worker in workers:
        worker.join(max(0.0, until_s - time.monotonic()))
