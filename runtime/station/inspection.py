"""An inspection: the conductor. Cameras fill batches, the backend judges them, the outbox holds what the MES is told.

The calling thread owns the backend from first to last. A part counts as judged when its event is on disk.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType

from runtime.batching.batcher import Batcher
from runtime.bundles.bundle import Bundle
from runtime.cameras.camera import Camera
from runtime.commands.handler import CommandHandler
from runtime.delivery.outbox import Outbox
from runtime.delivery.publisher import Publisher
from runtime.events.origin import Origin
from runtime.events.topics import Topics
from runtime.evidence.archive import Evidence
from runtime.inference.backend import Backend
from runtime.inference.recovery import Recovery
from runtime.monitoring.live_view import LiveView
from runtime.parts.verdict import Verdict
from runtime.settings import InspectionSettings
from runtime.station.camera_supervisor import CameraSupervisor
from runtime.station.deadlines import require_broker, require_engine
from runtime.station.judging_loop import TURN_S, JudgingLoop
from runtime.station.model_in_use import ModelInUse
from runtime.station.picture_capture import PictureCapture
from runtime.station.reporter import Reporter
from runtime.station.summary import Summary
from runtime.threads.wall_clock import WallClock

GRACE_S = 0.8
"""How long a stopped inspection goes on sending; what is left waits in the outbox."""
EVIDENCE_GRACE_S = 0.3
"""How long a stopped inspection goes on writing the evidence that waits."""
EVIDENCE_FINISH_S = 10.0
"""The same, where it came to its end."""


class Stop:
    """Asks an inspection to end. A plain flag, so that a signal handler may set it at any moment."""

    reason: str | None = None


class Inspection:
    """Everything opened and ready; `run` once."""

    def __init__(
        self,
        settings: InspectionSettings,
        cameras: Mapping[str, Camera],
        backend: Backend,
        outbox: Outbox,
        publisher: Publisher,
        topics: Topics,
        origin: Origin,
        bundle: Bundle | None = None,
        evidence: Evidence | None = None,
        display: LiveView | None = None,
    ) -> None:
        """Derive what the run needs; `bundle` is None in a simulation."""
        self.settings = settings
        self.outbox = outbox
        self.publisher = publisher
        self.evidence = evidence
        self.display = display
        self.model = ModelInUse(settings, backend, origin, bundle)
        self.supervisor = CameraSupervisor(cameras, settings.cameras, publisher, topics)
        self.reporter = Reporter(settings, outbox, publisher, display)
        self.loop = JudgingLoop(
            self.model,
            Recovery(self.model.reopen, publisher.tell),
            CommandHandler(
                *(settings.commands, topics, publisher),
                cameras=settings.streams,
                in_use=lambda: self.model.bundle,
                open_detector=self.model.open,
                on_thresholds=self.model.read_thresholds,
            ),
            PictureCapture(evidence, display),
            self._tell_model,
        )
        self.turned_s = time.monotonic()
        """When the judging thread last went round; it hangs where this stands still."""
        self.on_progress: Callable[[int], None] = lambda _parts: None
        """Told how many parts each batch had."""

    @property
    def frames_total(self) -> int | None:
        """How many parts there will be; None where a camera never ends."""
        return self.supervisor.frames_total

    def run(self, stop: Stop) -> Summary:
        """Judge until every camera has ended and all is acknowledged, or until `stop` has a reason.

        Raises BrokerError where all cameras are finite and the broker cannot be reached, OutboxError where the disk
        takes no more events; what was judged is in the outbox then.
        """
        waiting_before, depth = self.outbox.depth, self.model.backend.depth
        buffers = [self.model.backend.new_batch() for _ in range(depth + 2)]
        max_wait_s = self.settings.batching.max_wait_ms / 1000
        batcher = Batcher(buffers, max_wait_s, len(self.settings.cameras))
        self._tell_model()
        self.supervisor.listen()
        # What is started is stopped in the opposite order, each piece whatever becomes of the others.
        with ExitStack() as stack:
            self.publisher.start()
            stack.push(self._stop_publisher(stop))
            started_s = time.monotonic()
            if self.evidence is not None:
                self.evidence.start()
                stack.callback(lambda: self._stop_evidence(stop))
            stack.callback(self.loop.end)
            stack.callback(self.supervisor.stop)
            stack.callback(batcher.close)
            self.supervisor.start(batcher, self.model.origin.manifest.part_size)
            self._conduct(batcher, stop)
            judging_s = time.monotonic() - started_s
            self._deliver(stop)
        return self._summary(judging_s, waiting_before, stop)

    def _conduct(self, batcher: Batcher, stop: Stop) -> None:
        clock = WallClock(time.time(), time.monotonic())
        while not (self.loop.is_idle and (stop.reason or batcher.is_finished)):
            judged = self.loop.turn(batcher, is_stopped=bool(stop.reason))
            if judged:
                self.reporter.report(judged, self.model.origin)
                self.supervisor.judged([each.part for each in judged])
                self.on_progress(len(judged))
            self._check_threads(self.supervisor.faults)
            self._check_patience(at_start=True)
            self.supervisor.tell()
            clock.look(time.time(), time.monotonic())
            self.reporter.beat(batcher.waiting)

    def _deliver(self, stop: Stop) -> None:
        """Wait for the acknowledgement of all that was judged."""
        while not stop.reason and not self.publisher.wait_idle(TURN_S):
            self._check_threads({})
            self._check_patience(at_start=False)

    def _check_threads(self, faults: Mapping[str, BaseException]) -> None:
        self.turned_s = time.monotonic()
        evidence_fault = self.evidence.fault if self.evidence else None
        for fault in (*faults.values(), self.publisher.fault, evidence_fault):
            if fault is not None:
                raise fault

    def _check_patience(self, at_start: bool) -> None:
        if self.frames_total is not None:
            require_engine(self.loop.recovery)
            if not (at_start and self.publisher.link.was_connected):
                require_broker(self.publisher.link, self.settings.broker, self.outbox)

    def _tell_model(self) -> None:
        self.publisher.retain(Topics(self.settings.prefix).model, self.model.origin.card())

    def _stop_publisher(
        self, stop: Stop
    ) -> Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], None]:
        def leave(_kind: type[BaseException] | None, fault: BaseException | None, _trace: TracebackType | None) -> None:
            why = "finished" if fault is None else str(fault) or type(fault).__name__
            self.publisher.stop(stop.reason or why, GRACE_S if fault is None else 0.0)

        return leave

    def _stop_evidence(self, stop: Stop) -> None:
        if self.evidence is not None:
            self.evidence.stop(EVIDENCE_GRACE_S if stop.reason else EVIDENCE_FINISH_S)

    def _summary(self, judging_s: float, waiting_before: int, stop: Stop) -> Summary:
        verdicts = self.reporter.verdicts
        return Summary(
            verdicts={verdict.word: verdicts[verdict] for verdict in Verdict if verdict != Verdict.UNDEFINED},
            judged=verdicts.total(),
            unreadable=self.reporter.unreadable,
            images_per_s=verdicts.total() / judging_s,
            waiting_before=waiting_before,
            acknowledged=self.publisher.acknowledged,
            discarded=self.reporter.discarded,
            waiting=self.outbox.depth,
            stopped=stop.reason,
        )
