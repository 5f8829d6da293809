"""The reporter: tells of judged parts. A part counts as judged when its event is on disk.

It belongs to whoever holds its `numbering`: the thread that judges, or the one that hears of a part without a frame.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from runtime.commands.jobs import Jobs
from runtime.delivery.publisher import Publisher
from runtime.events.event import JudgedPart, event_of
from runtime.events.origin import Origin, model_card
from runtime.history.writer import HistoryWriter
from runtime.monitoring.counters import Counters, total
from runtime.monitoring.live_view import LiveView
from runtime.monitoring.throughput import Throughput
from runtime.mqtt.message import Outgoing, event_message
from runtime.outbox.row import NewEvent
from runtime.settings import InspectionSettings
from runtime.station.numbering import Numbering


class Reporter:
    """Carries judged parts to the outbox, the counters, the page and the retained topics."""

    def __init__(self, settings: InspectionSettings, publisher: Publisher, display: LiveView | None) -> None:
        """`display` is the page's; None where there is none."""
        self._outbox = publisher.outbox
        self._publisher = publisher
        self._topics = settings.topics
        self._display = display
        self._expiry_s = 2 * settings.metrics_every_s
        self._throughput = Throughput(settings.streams, settings.metrics_every_s)
        self.counters = {stream: Counters() for stream in settings.streams}
        self.history = HistoryWriter(settings.evidence, settings.shifts) if settings.evidence else None
        """Not started; None where no history is kept."""
        self._told: Mapping[str | None, Origin] = {}
        self._untold: dict[str, bytes] = {}
        """Of each camera that has judged since `tell`: its last event."""
        self.numbering = Numbering()
        """Is held by whoever reports."""
        self.jobs = Jobs(settings.streams, publisher, settings.topics, self.numbering)

    def tell_models(self, origins: Mapping[str | None, Origin]) -> None:
        """Tell who judges which recipe, where it is another than before."""
        if any(origin is not self._told.get(recipe) for recipe, origin in origins.items()):
            self._told = origins
            self._publisher.retain(self._topics.model, model_card(origins))

    def has_told(self, cause: bytes) -> bool:
        """Whether an event of this cause was stored, in any run. For any thread. Raises OutboxError."""
        return self._outbox.knows(cause)

    def report(self, judged: Sequence[JudgedPart]) -> None:
        """Store the events of a batch, and count. Raises OutboxError where the disk takes no more events."""
        if self._display is not None and judged:
            self._display.note_batch([each.part for each in judged], judged[0].timing.infer / 1000)
        self.store(judged)

    def store(self, judged: Sequence[JudgedPart]) -> None:
        """Store events, and count, of parts that no page shows. Raises OutboxError."""
        events = [self._event(each) for each in judged]
        self.add(events, self.jobs.count(judged))
        for each in judged:
            self._of(each.part.camera).count(each.part, each.judgement, each.thresholds.id, each.origin.recipe)
            self._of(each.part.camera).late += each.notice is not None and each.notice.is_late
        if self.history is not None:
            ids = [each.id for each in judged]
            self.history.add([*zip(judged, ids, [event.body for event in events], strict=True)])
        self._untold |= {event.camera: event.body for event in events}
        stored_s = time.monotonic()
        for each in judged:
            self._throughput.judged(each.part.camera, (stored_s - each.part.captured.s) * 1000)

    def add(self, events: Sequence[NewEvent], notes: Mapping[str, bytes]) -> None:
        """Store `events` and `notes`, and count what had to go for them. Raises OutboxError."""
        for camera, _verdict in self._outbox.add(events, notes):
            self._of(camera).discarded += 1
        self._publisher.notify()

    def tell(self) -> None:
        """Tell the newest of each camera that has judged something since the last call."""
        with self.numbering:
            untold, self._untold = self._untold, {}
            for camera, body in untold.items():
                last = event_message(self._topics.last(camera), body, replayed=False)
                self._publisher.retain(last.topic, last.payload)
                self._publisher.retain(self._topics.counters(camera), self._of(camera).payload())
                self.jobs.tell(camera)

    def beat(self, frames_waiting: int) -> None:
        """Tell the station's speed where it is due."""
        if not self._throughput.is_due:
            return
        delivered_ms = self._publisher.delivered.take_latencies_ms()
        with self.numbering:
            body = self._throughput.beat(frames_waiting, self._outbox, self.totals.discarded, delivered_ms)
        self._publisher.send(Outgoing(self._topics.metrics, body, qos=0, expiry_s=self._expiry_s))

    @property
    def totals(self) -> Counters:
        """Of all cameras since the start."""
        return total(self.counters.values())

    def _event(self, judged: JudgedPart) -> NewEvent:
        part = judged.part
        topic = self._topics.result(part.camera)
        event = NewEvent(topic, part.camera, judged.judgement.verdict, event_of(judged), part.own_cause)
        if part.trigger is None or part.trigger.id is None or part.trigger.cause is None:
            return event
        return replace(event, answer=(part.trigger.cause, judged.id))

    def _of(self, camera: str) -> Counters:
        """Of a camera, which may be one of an earlier run whose events are in the outbox."""
        if camera not in self.counters:
            self.counters[camera] = Counters(self.totals.since)
        return self.counters[camera]
