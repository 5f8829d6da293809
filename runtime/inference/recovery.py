"""Recovery: from the moment the engine fails until it is open again, with back-off, for ever.

Meanwhile nothing is judged: cameras fill the batches that are free and then wait, as in a pause.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from runtime.inference.backend import Backend
from runtime.threads.backoff import BackOff
from runtime.threads.worker import Worker

log = logging.getLogger(__name__)
HOPELESS_AFTER = 3
"""Reopenings that failed after a sticky error."""
HOPELESS_AFTER_S = 30.0
"""The same, where a reopening hangs."""


class Recovery:
    """Begun and ended by the thread that judges; closing and opening, which take their time, happen on another."""

    def __init__(self, open_backend: Callable[[], Backend]) -> None:
        """`open_backend` raises what it likes."""
        self.problem = ""
        """Why nothing is judged; empty where all is well."""
        self._open = open_backend
        self._since_s = 0.0
        self._is_sticky = False
        self._failed = 0
        self._backoff = BackOff()
        self._opened: Backend | None = None
        self._cancelled = threading.Event()
        self._changing = threading.Lock()

    @property
    def away_s(self) -> float:
        """For how long the engine has been away; 0 where it is there."""
        return time.monotonic() - self._since_s if self.problem else 0.0

    @property
    def is_hopeless(self) -> bool:
        """Whether the fault stays with this process, as far as can be told: only a new one may open the engine."""
        return self._is_sticky and (self._failed >= HOPELESS_AFTER or self.away_s > HOPELESS_AFTER_S)

    @property
    def opened(self) -> Backend | None:
        """The backend, once it is open again."""
        return self._opened

    def begin(self, broken: Backend, fault: str, is_sticky: bool = False) -> None:
        """Close `broken` and open it again; no batch may be handed to it any more. See BackendFault.is_sticky."""
        self._is_sticky, self._failed = is_sticky, 0
        self._since_s = time.monotonic()
        self._say(f"the engine failed: {fault}")
        self._cancelled = threading.Event()
        Worker("recovery", partial(self._mend, broken, self._cancelled)).start()

    def take(self) -> Backend:
        """Hand the opened backend over: the engine is there again."""
        backend, self._opened = self._opened, None
        if backend is None:
            raise RuntimeError("the engine is not open")
        log.info("engine opened again after_s=%.1f", self.away_s)
        self._end()
        return backend

    def cancel(self) -> None:
        """Give up, where somebody else brings an engine or none is needed any more."""
        with self._changing:
            self._cancelled.set()
            backend, self._opened = self._opened, None
            if self.problem:
                self._end()
        if backend is not None:
            backend.close()

    def went_well(self) -> None:
        """A batch was judged: the next fault begins with short waits again."""
        self._backoff.succeeded()

    def _mend(self, broken: Backend, cancelled: threading.Event) -> None:
        try:
            broken.close()
        except Exception as error:  # it is broken
            log.warning("the failed engine does not close reason=%r", str(error))
        while not cancelled.wait(self._backoff.failed()):
            try:
                backend = self._open()
            except Exception as error:  # whatever it is, the next try may do
                with self._changing:
                    if not cancelled.is_set():
                        self._failed += 1
                        self._say(f"the engine cannot be opened: {error}")
                continue
            with self._changing:
                if not cancelled.is_set():
                    self._opened = backend
                    return
            backend.close()

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            log.error("engine lost, tried again until it opens reason=%r", problem)
            self.problem = problem

    def _end(self) -> None:
        self.problem, self._is_sticky = "", False
