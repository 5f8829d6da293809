"""Workers: every thread beside the judging one. What kills it is kept for whoever looks, and never lost."""

import threading
from collections.abc import Callable


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

    def run(self) -> None:
        """Do the work; called by `start`, on the new thread."""
        try:
            self._work()
        except BaseException as error:  # carried to the thread that looks
            self.fault = error
