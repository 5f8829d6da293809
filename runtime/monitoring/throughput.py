"""Throughput: how fast a station is, told every few seconds on the `metrics` topic."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from core.timestamps import rfc3339
from runtime.events.encoding import dumps
from runtime.outbox.outbox import Outbox

MOST = 10_000
"""Of the parts between two beats so many, the newest, are told by how long they took."""


class Throughput:
    """Gathers what happens between two beats. It belongs to one thread."""

    def __init__(self, cameras: Iterable[str], every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Beat every `every_s` seconds."""
        self._every_s = every_s
        self._clock = clock
        self._last_s = clock()
        self._parts = Counter(dict.fromkeys(cameras, 0))
        self._judged_ms: deque[float] = deque(maxlen=MOST)

    def judged(self, camera: str, took_ms: float) -> None:
        """Count a part that took `took_ms` from capture until its event was on disk."""
        self._parts[camera] += 1
        self._judged_ms.append(took_ms)

    @property
    def is_due(self) -> bool:
        """Whether it is time for a beat."""
        return self._clock() - self._last_s >= self._every_s

    def beat(self, frames_waiting: int, outbox: Outbox, discarded: int, delivered_ms: Sequence[float]) -> bytes:
        """Build what the `metrics` topic tells of the time since the last beat, and begin again.

        `delivered_ms` is how long the events acknowledged since then took from the disk to the acknowledgement.
        """
        now_s = self._clock()
        interval_s = max(now_s - self._last_s, 1e-3)
        body = {
            "time": rfc3339(time.time()),
            "interval_s": round(interval_s, 3),
            "fps": {camera: round(parts / interval_s, 3) for camera, parts in self._parts.items()},
            "frames_waiting": frames_waiting,
            "capture_to_event_ms": percentiles(self._judged_ms),
            "event_to_acknowledgement_ms": percentiles(delivered_ms),
            "outbox": {"waiting": outbox.depth, "bytes": outbox.bytes, "discarded": discarded},
        }
        self._last_s = now_s
        self._parts = Counter(dict.fromkeys(self._parts, 0))
        self._judged_ms.clear()
        return dumps(body)


def percentiles(values: Sequence[float]) -> dict[str, Any] | None:
    """Give p50, p95 and p99; None where nothing happened."""
    if not values:
        return None
    found = np.percentile(values, [50, 95, 99]).tolist()
    return {name: round(value, 3) for name, value in zip(("p50", "p95", "p99"), found, strict=True)}
