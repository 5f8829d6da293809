"""Batches: camera threads fill rows of a buffer in place, the backend's thread takes whole batches.

A camera claims one row at a time and rows are granted in the order in which they were asked for, so that no camera
starves another: each gets a row before any gets its next. Buffers come from the backend and are reused only when
it is done with them; while none is free the cameras wait, and memory stays bounded. Only who can go on is woken: of
the cameras the next one, of the backend's thread that a batch has to go. Waking takes a core more than a small frame.

Where a station has several models, a batch is of one of them. Batches go in the order in which they were begun, and no
part joins one that was begun before another with a part of its stream: so each stream keeps its order.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.batching.batch import Batch, BatchRow
from runtime.batching.task import Task
from runtime.parts.part import Part


def due_in_s(is_full: bool, waited_s: float, max_wait_s: float, ended: bool) -> float:
    """Say in how many seconds the first batch has to go.

    0 when it or one behind it `is_full`, when its oldest part has waited, or when no more will come.
    """
    return 0.0 if is_full or ended else max(0.0, max_wait_s - waited_s)


class Batcher:
    """Stands between the camera threads (claim, commit, end) and the backend's thread (take, release, close)."""

    def __init__(
        self,
        buffers: Mapping[str | None, Sequence[NDArray[np.uint8]]],
        max_wait_s: float,
        cameras: int,
    ) -> None:
        """Take `buffers`, by the recipes of their models, into rotation for `cameras` camera threads."""
        self._free = {recipe: deque(own) for recipe, own in buffers.items()}
        self._open: deque[Batch] = deque()
        self._max_wait_s = max_wait_s
        self._cameras = cameras
        self._held = threading.RLock()
        self._claims: deque[threading.Condition] = deque()
        """In the order in which they were made; each wakes its camera."""
        self._is_due = threading.Condition(self._held)
        """Wakes the backend's thread: the first batch may have to go, or there is a first one."""
        self._closed = False
        self._settling = False
        self._is_held = False

    @property
    def is_finished(self) -> bool:
        """Whether every camera has ended and every row was taken."""
        with self._held:
            return self._closed or (self._cameras == 0 and not self._open)

    @property
    def waiting(self) -> int:
        """How many rows were claimed and not yet taken."""
        with self._held:
            return sum(len(batch.parts) for batch in self._open)

    def claim(self, ask: Callable[[], Task], goes_on: bool = False, timeout_s: float | None = None) -> BatchRow | None:
        """Wait for a row for the task that `ask` gives when it is granted.

        It `goes_on` where other rows hold the same frame already. None once closed, or too late.
        """
        with self._held:
            claim = threading.Condition(self._held)
            self._claims.append(claim)
            try:
                row = claim.wait_for(
                    lambda: self._closed or (self._is_next(claim, goes_on) and self._grant(ask())), timeout_s
                )
            finally:  # a claim that stays, of a camera that dies by what it asks, would keep all others from theirs
                self._claims.remove(claim)
                self._call_next()
            return row if isinstance(row, BatchRow) else None

    def commit(self, claimed: BatchRow, part: Part) -> None:
        """Hand a written row over."""
        with self._held:
            claimed.batch.parts[claimed.row] = part
            if claimed.row == 0:  # from now on there is something that has to go some time
                self._is_due.notify()
            self._call_backend()

    def end(self) -> None:
        """One camera gives no more frames."""
        with self._held:
            self._cameras -= 1
            self._call_backend()

    def take(self, timeout_s: float) -> Batch | None:
        """Return the next batch that has to go, wholly written; None where there was none within `timeout_s`."""
        until_s = time.monotonic() + timeout_s
        with self._held:
            while not self._closed:
                now_s = time.monotonic()
                due_s = self._due_in_s(now_s)
                if due_s == 0 and None not in self._open[0].parts:
                    return self._open.popleft()
                if now_s >= until_s:
                    return None
                self._is_due.wait(min(until_s - now_s, due_s or until_s - now_s))
        return None

    def release(self, batch: Batch) -> None:
        """Give a taken batch's buffer back, once its results were read."""
        with self._held:
            self._free[batch.recipe].append(batch.buffer)
            self._call_next()

    def hold(self, is_held: bool) -> None:
        """Let no camera begin another frame while `is_held`; what is written, and frames that go on, can be taken."""
        with self._held:
            self._is_held = is_held
            self._call_next()

    def settle(self) -> bool:
        """Let no camera begin another row before an exchange; whether none is being written any more."""
        with self._held:
            self._settling = True
            return all(None not in batch.parts for batch in self._open)

    def exchange(self, recipe: str | None, new_buffer: Callable[[], NDArray[np.uint8]], count: int) -> None:
        """Take `count` new buffers into rotation instead of a model's others; what is written already is carried over.

        Call it where all is settled and no batch is taken and not yet released.
        """
        with self._held:
            written = [batch for batch in self._open if batch.recipe == recipe]
            self._free[recipe] = deque(new_buffer() for _ in range(max(count, len(written))))
            for batch in written:
                buffer = self._free[recipe].popleft()
                buffer[: len(batch.parts)] = batch.frames_bgr_u8
                batch.buffer = buffer
            self._settling = False
            self._call_next()

    def close(self) -> None:
        """Wake every waiting thread; what was not taken is not judged."""
        with self._held:
            self._closed = True
            self._is_due.notify()
            for claim in self._claims:
                claim.notify()

    def _call_next(self) -> None:
        """Wake the camera whose turn it is; in a pause it may be any one."""
        for claim in self._claims if self._is_held else itertools.islice(self._claims, 1):
            claim.notify()

    def _call_backend(self) -> None:
        """Wake it where the first batch has to go and is written: as long as it only waits, it has its own alarm."""
        if self._due_in_s(time.monotonic()) == 0 and self._open and None not in self._open[0].parts:
            self._is_due.notify()

    def _is_next(self, claim: object, goes_on: bool) -> bool:
        return goes_on if self._is_held else self._claims[0] is claim

    def _grant(self, task: Task) -> BatchRow | None:
        batch = self._to_join(task)
        if self._settling or (batch is None and not self._free[task.recipe]):
            return None
        if batch is None:
            batch = Batch(self._free[task.recipe].popleft(), oldest_s=time.monotonic(), recipe=task.recipe)
            self._open.append(batch)
        batch.parts.append(None)
        batch.tasks.append(task)
        self._call_backend()
        return BatchRow(batch, len(batch.parts) - 1, task)

    def _to_join(self, task: Task) -> Batch | None:
        """Give the open batch that takes another part; None where the part has to begin one."""
        for batch in reversed(self._open):
            if batch.recipe == task.recipe and not batch.is_full:
                return batch
            if any(task.stream == before.stream for before in batch.tasks):
                return None
        return None

    def _due_in_s(self, now_s: float) -> float:
        if not self._open:
            return float("inf")
        is_full = any(batch.is_full for batch in self._open)
        return due_in_s(is_full, now_s - self._open[0].oldest_s, self._max_wait_s, self._cameras == 0)
