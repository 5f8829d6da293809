"""The reporter: tells of judged parts. A part counts as judged when its event is on disk.

It belongs to the thread that judges.
"""

import time
from collections import Counter
from collections.abc import Sequence

from core.timestamps import rfc3339
from runtime.delivery.message import Outgoing
from runtime.delivery.outbox import NewEvent, Outbox
from runtime.delivery.publisher import Publisher
from runtime.events.encoding import stamp
from runtime.events.event import build
from runtime.events.origin import Origin
from runtime.events.topics import Topics
from runtime.monitoring.counters import Counters
from runtime.monitoring.live_view import LiveView
from runtime.monitoring.throughput import Throughput
from runtime.parts.verdict import Reason, Verdict
from runtime.settings import InspectionSettings
from runtime.station.judged_part import JudgedPart


class Reporter:
    """Carries judged parts to the outbox, the counters, the page and the retained topics."""

    def __init__(
        self, settings: InspectionSettings, outbox: Outbox, publisher: Publisher, display: LiveView | None
    ) -> None:
        """`display` is the page's; None where there is none."""
        self._outbox = outbox
        self._publisher = publisher
        self._topics = Topics(settings.prefix)
        self._display = display
        self._expiry_s = 2 * settings.metrics_every_s
        self._throughput = Throughput(settings.streams, settings.metrics_every_s)
        self._since = rfc3339(time.time())
        self.counters = {stream: Counters(self._since) for stream in settings.streams}

    def report(self, judged: Sequence[JudgedPart], origin: Origin) -> None:
        """Store the events of a batch, count, and tell. Raises OutboxError where the disk takes no more events."""
        events = [self._event(each, origin) for each in judged]
        for camera, _verdict in self._outbox.add(events):
            self._of(camera).discarded += 1
        for each in judged:
            counters = self._of(each.part.camera)
            counters.verdicts[each.judgement.verdict] += 1
            counters.unreadable += Reason.UNREADABLE in each.part.faults
        if self._display is not None and judged:
            self._display.note_batch([each.part for each in judged], judged[0].timing.infer / 1000)
        self._publisher.notify()
        for camera, body in {event.camera: event.body for event in events}.items():
            self._publisher.retain(self._topics.last(camera), stamp(body, time.time(), replayed=False))
            self._publisher.retain(self._topics.counters(camera), self._of(camera).payload())
        stored_s = time.monotonic()
        for each in judged:
            self._throughput.judged(each.part.camera, (stored_s - each.part.captured_s) * 1000)

    def beat(self, frames_waiting: int) -> None:
        """Tell the station's speed where it is due."""
        if not self._throughput.is_due:
            return
        delivered_ms = self._publisher.take_latencies_ms()
        body = self._throughput.beat(frames_waiting, self._outbox, self.discarded, delivered_ms)
        self._publisher.send(Outgoing(self._topics.metrics, body, qos=0, expiry_s=self._expiry_s))

    @property
    def verdicts(self) -> Counter[Verdict]:
        """Of all cameras since the start."""
        return sum((counters.verdicts for counters in self.counters.values()), Counter[Verdict]())

    @property
    def unreadable(self) -> int:
        """Pictures that could not be read."""
        return sum(counters.unreadable for counters in self.counters.values())

    @property
    def discarded(self) -> int:
        """Events given up because the outbox was full."""
        return sum(counters.discarded for counters in self.counters.values())

    def _event(self, judged: JudgedPart, origin: Origin) -> NewEvent:
        part, judgement = judged.part, judged.judgement
        body = build(
            *(origin, part, judged.seq),
            judgement=judgement,
            thresholds=judged.thresholds,
            timing=judged.timing,
            evidence=judged.evidence,
        )
        return NewEvent(self._topics.result(part.camera), part.camera, judgement.verdict, body)

    def _of(self, camera: str) -> Counters:
        """Of a camera, which may be one of an earlier run whose events are in the outbox."""
        return self.counters.setdefault(camera, Counters(self._since))
