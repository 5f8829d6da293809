"""The live view: the newest of each camera, for people and monitors. Filled by the judging thread, read by others.

Of each camera it keeps the last part that was not passed and has a picture, and the last of all, where good ones are
put up at most every SHOW_EVERY_S.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Histogram

from runtime.evidence.part_picture import PartPicture
from runtime.monitoring.drift import Trend
from runtime.parts.part import Part
from runtime.parts.verdict import Judgement, Verdict

SHOW_EVERY_S = 0.2
LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)


@dataclass
class CameraView:
    """What is to be seen of one camera. Picture and verdict are always of the same part."""

    last: PartPicture | None = None
    rejected: PartPicture | None = None
    """The last that was not passed and has a picture; until there is one, the first without."""
    judgement: Judgement | None = None
    """Of the newest part, which may be newer than the picture."""
    judged_at_s: float | None = None
    """Unix time at which the newest part was captured."""
    shown_s: float = float("-inf")
    """When `last` was put up (monotonic clock)."""
    trend: Trend = field(default_factory=Trend)


class LiveView:
    """Holds pictures and trends: the thread that judges fills it, the page's threads read under `lock`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Show every camera of which parts come."""
        self.views: defaultdict[str, CameraView] = defaultdict(CameraView)
        self.lock = threading.Lock()
        """Held while `views` change, and by whoever reads more than one thing of them."""
        self.registry = CollectorRegistry()
        self._clock = clock
        self._inference = self._histogram("pwae_inference_seconds", "Of a batch", LATENCY_BUCKETS_S)
        self._latency = self._histogram(
            "pwae_part_seconds", "Of a part, from capture until its event is on disk", LATENCY_BUCKETS_S
        )
        self._batch = self._histogram("pwae_batch_parts", "Parts in a batch", BATCH_BUCKETS)

    def wants(self, camera: str, judgement: Judgement) -> bool:
        """Say whether this part is to be shown, with its picture where it has one."""
        return judgement.verdict != Verdict.OK or self._clock() - self.views[camera].shown_s >= SHOW_EVERY_S

    def show(self, shown: PartPicture) -> None:
        """Put a part up."""
        with self.lock:
            seen = self.views[shown.part.camera]
            seen.last, seen.shown_s = shown, self._clock()
            is_seen = shown.part.picture is not None
            if shown.judgement.verdict != Verdict.OK and (is_seen or seen.rejected is None):
                seen.rejected = shown

    def note(self, part: Part, judgement: Judgement, thresholds_id: str, recipe: str | None = None) -> None:
        """Take a part in that the model of `recipe` (see Origin) judged."""
        with self.lock:
            seen = self.views[part.camera]
            seen.judgement, seen.judged_at_s = judgement, part.captured.at_s
            seen.trend.add(judgement, thresholds_id, recipe)

    def note_batch(self, parts: Sequence[Part], inference_s: float) -> None:
        """Take a batch in whose events were just stored."""
        now_s = self._clock()
        self._batch.observe(len(parts))
        self._inference.observe(inference_s)
        for part in parts:
            self._latency.observe(now_s - part.captured.s)

    def drifts(self, camera: str) -> bool:
        """Whether the camera's good parts come closer to the threshold than they used to."""
        with self.lock:
            return self.views[camera].trend.drifts

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self.registry)
