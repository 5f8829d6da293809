"""An inspection: the conductor. Cameras fill batches, the backend judges them, the outbox holds what the MES is told.

The calling thread owns the backend from first to last. A part counts as judged when its event is on disk.
"""

import itertools
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from core.timestamps import rfc3339
from runtime.batching.batch import Batch
from runtime.batching.batcher import Batcher
from runtime.batching.feed import Feed
from runtime.bundles.bundle import Bundle
from runtime.bundles.manifest import Manifest
from runtime.cameras.camera import Camera
from runtime.commands.handler import CommandHandler
from runtime.delivery.message import Outgoing
from runtime.delivery.outbox import NewEvent, Outbox
from runtime.delivery.publisher import Publisher
from runtime.events.encoding import stamp
from runtime.events.event import Timing, build
from runtime.events.origin import Origin
from runtime.events.topics import Topics
from runtime.evidence.archive import Evidence
from runtime.inference.backend import Backend
from runtime.inference.detector import open_detector, reopen, thresholds_in_force
from runtime.inference.recovery import Recovery
from runtime.inference.run import InferenceRun
from runtime.monitoring.counters import Counters
from runtime.monitoring.live_view import LiveView
from runtime.monitoring.throughput import Throughput
from runtime.parts.verdict import Reason, Verdict, judge
from runtime.settings import InspectionSettings
from runtime.station.camera_supervisor import CameraSupervisor
from runtime.station.deadlines import require_broker, require_engine
from runtime.station.picture_capture import PictureCapture
from runtime.station.summary import Summary
from runtime.threads.wall_clock import WallClock

TURN_S = 0.1
"""How often a waiting conductor looks up: a stop is heeded within this time and one batch."""
GRACE_S = 0.8
"""How long a stopped inspection goes on sending; what is left waits in the outbox."""
EVIDENCE_GRACE_S = 0.3
"""How long a stopped inspection goes on writing the evidence that waits."""
EVIDENCE_FINISH_S = 10.0
"""The same, where it came to its end."""


class Stop:
    """Asks an inspection to end. A plain flag, so that a signal handler may set it at any moment."""

    reason: str | None = None


@dataclass
class Inspection:
    """Everything opened and ready; `run` once."""

    settings: InspectionSettings
    cameras: Mapping[str, Camera]
    backend: Backend
    outbox: Outbox
    publisher: Publisher
    topics: Topics
    origin: Origin
    bundle: Bundle | None = None
    """None in a simulation."""
    evidence: Evidence | None = None
    display: LiveView | None = None
    on_progress: Callable[[int], None] = lambda _parts: None
    """Told how many parts each batch had."""

    def __post_init__(self) -> None:
        """Derive what the run needs."""
        asked = (self.settings.bundle_key, self.settings.backend, self.settings.batching.max_batch)
        self._thresholds = thresholds_in_force(self.settings.threshold_factors, self.origin.manifest, self.bundle)
        self._remote = CommandHandler(
            self.settings.commands,
            self.topics,
            self.publisher,
            cameras=self._thresholds,
            model=self.bundle,
            open_detector=lambda path: open_detector(path, *asked),
        )
        self.recovery = Recovery(lambda: reopen(self.bundle, *asked), self.publisher.tell)
        self._witness = PictureCapture(self.origin, self._thresholds, self.evidence, self.display)
        self._pulse = Throughput(self.settings.streams, self.settings.metrics_every_s)
        self._roster = CameraSupervisor(self.cameras, self.settings.cameras, self.publisher, self.topics)
        self._since = rfc3339(time.time())
        self.tallies = {name: Counters(self._since) for name in self.settings.streams}
        self.feeds: list[Feed] = []
        self.turned_s = time.monotonic()
        """When the judging thread last went round; it hangs where this stands still."""
        self._seq = defaultdict[str, Iterator[int]](lambda: itertools.count(1))
        self._clock = WallClock(time.time(), time.monotonic())

    @property
    def frames_total(self) -> int | None:
        """How many parts there will be; None where a camera never ends."""
        return self._roster.frames_total

    def run(self, stop: Stop) -> Summary:
        """Judge until every camera has ended and all is acknowledged, or until `stop` has a reason.

        Raises BrokerError where all cameras are finite and the broker is not to be had, OutboxError where the disk
        takes no more events; what was judged is in the outbox then.
        """
        waiting_before = self.outbox.depth
        buffers = [self.backend.new_batch() for _ in range(self.backend.depth + 2)]
        batcher = Batcher(buffers, self.settings.batching.max_wait_ms / 1000, len(self.cameras))
        self.feeds = feeds = [
            Feed(name, camera, self.settings.cameras[name], batcher, self.origin.manifest.part_size)
            for name, camera in self.cameras.items()
        ]
        self.publisher.retain(self.topics.model, self.origin.card())
        self._roster.listen()
        self.publisher.start()
        grace_s, why = 0.0, "finished"
        started_s = time.monotonic()
        try:
            if self.evidence is not None:
                self.evidence.start()
            for feed in feeds:
                feed.start()
            self._conduct(batcher, feeds, stop)
            judging_s = time.monotonic() - started_s
            self._deliver(stop)
            grace_s = GRACE_S
        except BaseException as fault:
            why = str(fault) or type(fault).__name__
            raise
        finally:
            batcher.close()
            for feed in feeds:
                feed.stop()
            self._roster.leave(feeds)
            self.recovery.cancel()
            self._remote.end()
            if self.evidence is not None:
                self.evidence.stop(EVIDENCE_GRACE_S if stop.reason else EVIDENCE_FINISH_S)
            self.publisher.stop(stop.reason or why, grace_s)
        return self._summary(judging_s, waiting_before, stop)

    def _conduct(self, batcher: Batcher, feeds: Sequence[Feed], stop: Stop) -> None:
        under_way: deque[InferenceRun] = deque()
        while under_way or not (stop.reason or batcher.is_finished):
            self._obey()
            if not under_way:
                self._change_engine(batcher)
            # The rows of the next batch are closed as late as can be, so that its frames are new.
            done = self._wait(under_way) if len(under_way) == self.backend.depth else None
            is_held = self._remote.paused or self._remote.has_model or bool(self.recovery.problem)
            if is_held and done is None and not under_way and not stop.reason:
                time.sleep(TURN_S)
            batch = None if stop.reason or is_held else batcher.take(0.0 if under_way or done else TURN_S)
            if batch is not None:
                under_way.append(InferenceRun(self.backend, batch))
            elif done is None and under_way:
                done = self._wait(under_way)
            if done is not None:
                self._judge(done, batcher.release)
            self._check_threads(feeds)
            self._check_patience(at_start=True)
            self._roster.tell()
            self._clock.look(time.time(), time.monotonic())
            if self._pulse.is_due:
                self._beat(batcher.waiting)

    def _wait(self, under_way: deque[InferenceRun]) -> InferenceRun:
        """Wait for the oldest batch; where the engine fails, nothing counts that was under way in it."""
        run = under_way.popleft().wait()
        if self.recovery.problem:
            run.fault = run.fault or self.recovery.problem
        elif run.fault:
            self.recovery.begin(self.backend, run.fault)
        else:
            self.recovery.went_well()
        return run

    def _judge(self, run: InferenceRun, release: Callable[[Batch], None]) -> None:
        batch, fault = run.batch, (Reason.ENGINE_FAULT,) if run.fault else ()
        parts = batch.written
        judgements = [
            judge(row, self._thresholds[part.camera], (*part.faults_at(run.submitted_s), *fault))
            for part, row in zip(parts, run.errors, strict=True)
        ]
        seqs = [next(self._seq[part.camera]) for part in parts]
        evidence = self._witness.see(run, judgements, seqs)
        if not fault:
            self._remote.watch(batch, run.errors)
        release(batch)
        letters, unreadable = [], Counter[str]()
        for part, judgement, seq, ref in zip(parts, judgements, seqs, evidence, strict=True):
            timing = Timing(
                capture_to_infer=(run.submitted_s - part.captured_s) * 1000,
                infer=(run.inferred_s - run.submitted_s) * 1000,
                total=(time.monotonic() - part.captured_s) * 1000,
            )
            thresholds = self._thresholds[part.camera]
            body = build(
                self.origin, part, seq, judgement=judgement, thresholds=thresholds, timing=timing, evidence=ref
            )
            letters.append(NewEvent(self.topics.result(part.camera), part.camera, judgement.verdict, body))
            unreadable[part.camera] += Reason.UNREADABLE in part.faults
        for camera, _verdict in self.outbox.add(letters):
            self._tally(camera).discarded += 1
        for letter in letters:
            self._tally(letter.camera).verdicts[letter.verdict] += 1
        for camera, count in unreadable.items():
            self._tally(camera).unreadable += count
        self._roster.judged(parts)
        if self.display is not None:
            self.display.note_batch(parts, run.inferred_s - run.submitted_s)
        self._tell({letter.camera: letter.body for letter in letters})
        stored_s = time.monotonic()
        for part in parts:
            self._pulse.judged(part.camera, (stored_s - part.captured_s) * 1000)
        self.on_progress(len(letters))

    def _tell(self, newest: Mapping[str, bytes]) -> None:
        self.publisher.notify()
        for camera, body in newest.items():
            self.publisher.retain(self.topics.last(camera), stamp(body, time.time(), replayed=False))
            self.publisher.retain(self.topics.counters(camera), self._tally(camera).payload())

    def _obey(self) -> None:
        """Do what was asked over MQTT."""
        self._remote.serve()
        if self._remote.new_thresholds:
            self._remote.new_thresholds = False
            self._thresholds.update(
                thresholds_in_force(self.settings.threshold_factors, self.origin.manifest, self.bundle)
            )

    def _change_engine(self, batcher: Batcher) -> None:
        """Between two batches: let a new model take over, or an engine that is open again; no frame is lost."""
        if not (self._remote.has_model or self.recovery.opened) or not batcher.settle():
            return
        if self._remote.has_model:
            model = self._remote.take_model()
            self.recovery.cancel()
            self.bundle = model.bundle
            self._use(model.backend, model.bundle.manifest, batcher)
        else:
            self._use(self.recovery.take(), self.origin.manifest, batcher)

    def _use(self, backend: Backend, manifest: Manifest, batcher: Batcher) -> None:
        batcher.exchange(backend.new_batch, backend.depth + 2)
        self.backend.close()
        self.backend = backend
        self.origin = replace(self.origin, manifest=manifest, backend=backend.name, engine_sha256=backend.engine_sha256)
        self._set_thresholds()
        self._witness = PictureCapture(self.origin, self._thresholds, self.evidence, self.display)
        self.publisher.retain(self.topics.model, self.origin.card())

    def _set_thresholds(self) -> None:
        factors = self.settings.threshold_factors
        self._thresholds.update(thresholds_in_force(factors, self.origin.manifest, self.bundle))

    def _beat(self, frames_waiting: int) -> None:
        discarded = sum(tally.discarded for tally in self.tallies.values())
        body = self._pulse.beat(frames_waiting, self.outbox, discarded, self.publisher.delivered_ms)
        expiry_s = 2 * self.settings.metrics_every_s
        self.publisher.send(Outgoing(self.topics.metrics, body, qos=0, expiry_s=expiry_s))

    def _tally(self, camera: str) -> Counters:
        """Of a camera, which may be one of an earlier run whose events are in the outbox."""
        return self.tallies.setdefault(camera, Counters(self._since))

    def _deliver(self, stop: Stop) -> None:
        """Wait for the acknowledgement of all that was judged."""
        while not stop.reason and not self.publisher.wait_idle(TURN_S):
            self._check_threads([])
            self._check_patience(at_start=False)

    def _check_threads(self, feeds: Sequence[Feed]) -> None:
        self.turned_s = time.monotonic()
        evidence_fault = self.evidence.fault if self.evidence else None
        for fault in (*(feed.fault for feed in feeds), self.publisher.fault, evidence_fault):
            if fault is not None:
                raise fault

    def _check_patience(self, at_start: bool) -> None:
        if self.frames_total is not None:
            require_engine(self.recovery)
            if not (at_start and self.publisher.link.was_connected):
                require_broker(self.publisher.link, self.settings.broker, self.outbox)

    def _summary(self, judging_s: float, waiting_before: int, stop: Stop) -> Summary:
        verdicts = sum((tally.verdicts for tally in self.tallies.values()), Counter[Verdict]())
        judged = verdicts.total()
        return Summary(
            verdicts={verdict.word: verdicts[verdict] for verdict in Verdict if verdict != Verdict.UNDEFINED},
            judged=judged,
            unreadable=sum(tally.unreadable for tally in self.tallies.values()),
            images_per_s=judged / judging_s,
            waiting_before=waiting_before,
            acknowledged=self.publisher.acknowledged,
            discarded=sum(tally.discarded for tally in self.tallies.values()),
            waiting=self.outbox.depth,
            stopped=stop.reason,
        )
