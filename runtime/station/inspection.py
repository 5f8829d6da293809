"""An inspection: the conductor. Cameras fill batches, the backend judges them, the outbox holds what the MES is told.

The calling thread owns the backend from first to last. A part counts as judged when its event is on disk.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from core.stop import Stop
from runtime.batching.batcher import Batcher
from runtime.delivery.publisher import Publisher
from runtime.monitoring.health import (
    CameraHealth,
    DeliveryHealth,
    EngineHealth,
    EvidenceHealth,
    StationStatus,
    why_not_judging,
)
from runtime.settings import InspectionSettings
from runtime.station.camera_supervisor import CameraSupervisor
from runtime.station.deadlines import require_broker, require_engine, require_hope, require_taken, why_no_room
from runtime.station.judging_loop import TURN_S, JudgingLoop
from runtime.station.reporter import Reporter
from runtime.station.service_manager import ServiceManager
from runtime.threads.keeper import Keeper
from runtime.threads.wall_clock import WallClock

GRACE_S = 0.8
"""How long a stopped inspection goes on sending; what is left waits in the outbox."""
EVIDENCE_GRACE_S = 0.3
"""How long a stopped inspection goes on writing the evidence and the history that wait, each."""
EVIDENCE_FINISH_S = 10.0
"""The same, where it came to its end."""


@dataclass(frozen=True)
class Summary:
    """The result of an inspection. Of events it counts what was judged, and not the gaps that tell of those given up:

    `judged` and `waiting_before` come to `acknowledged`, `discarded` and `waiting`.
    """

    verdicts: Mapping[str, int]
    judged: int
    """Parts, each with its event on disk."""
    unreadable: int
    images_per_s: float
    waiting_before: int
    """Events found in the outbox from an earlier run."""
    acknowledged: int
    """Events that the broker took, those found included."""
    discarded: int
    """Events given up because the outbox was full."""
    waiting: int
    """Events left in the outbox."""
    stopped: str | None
    """Why it was stopped; None where every camera came to its end."""


class Inspection:
    """Everything opened and ready; `run` once."""

    def __init__(
        self,
        settings: InspectionSettings,
        supervisor: CameraSupervisor,
        loop: JudgingLoop,
        reporter: Reporter,
        publisher: Publisher,
    ) -> None:
        """Conduct these; none of them is started."""
        self.settings = settings
        self.supervisor = supervisor
        self.loop = loop
        self.models = loop.models
        self.reporter = reporter
        self.publisher = publisher
        self.evidence = loop.pictures.evidence
        self.display = loop.pictures.display
        self._service = ServiceManager()
        self.turned_s = time.monotonic()
        """When the judging thread last went round; it hangs where this stands still."""
        self.on_progress: Callable[[int], None] = lambda _parts: None
        """Told how many parts each batch had."""

    @property
    def frames_total(self) -> int | None:
        """How many parts there will be; None where a camera never ends."""
        return self.supervisor.frames_total

    def status(self) -> StationStatus:
        """Look at every piece, and never wait for one. For any thread."""
        outbox, recovery, coils = self.publisher.outbox, self.models.recovery, self.loop.verdicts.coils
        return StationStatus(
            prefix=self.settings.topics.prefix,
            origins=self.models.origins,
            cameras=self._cameras(),
            dropped=self.supervisor.dropped,
            delivery=DeliveryHealth(
                *(self.publisher.link, outbox.depth, self.settings.outbox.max_events),
                *(self.publisher.refused, outbox.problem),
            ),
            engine=EngineHealth(recovery.problem, recovery.away_s),
            evidence=self._evidence(),
            dead=tuple({**self.supervisor.faults, **self._faults}),
            silent_s=time.monotonic() - self.turned_s,
            plc_left_out=None if coils is None else coils.left_out,
            pause=self.loop.pause,
        )

    def _evidence(self) -> EvidenceHealth | None:
        if self.evidence is None:
            return None
        problem = next((keeper.problem for keeper in self._keepers if keeper.problem), "")
        return EvidenceHealth(self.evidence.written, self.evidence.dropped, problem)

    def _cameras(self) -> dict[str, CameraHealth]:
        states, unlike, display = self.supervisor.states, self.supervisor.unlike, self.display
        found = {}
        for name, counters in dict(self.reporter.counters).items():
            state, reason = states.get(name, ("starting", ""))
            drifts = display is not None and display.drifts(name)
            late = self.loop.verdicts.late.get(name)
            verdicts, other = dict(counters.verdicts), unlike.get(name, "")
            found[name] = CameraHealth(state, verdicts, counters.discarded, drifts, reason, late, other)
        return found

    def run(self, stop: Stop) -> Summary:
        """Judge until every camera has ended and all is acknowledged, or until `stop` has a reason.

        Raises BrokerError where all cameras are finite and the broker cannot be reached, OutboxError where the disk
        takes no more events, RestartError where the GPU is lost to this process; what was judged is in the outbox then.
        """
        waiting_before = self.publisher.outbox.events
        buffers = {
            model.origin.recipe: [model.backend.new_batch() for _ in range(model.buffers)] for model in self.models.each
        }
        max_wait_s = self.settings.batching.max_wait_ms / 1000
        batcher = Batcher(buffers, max_wait_s, len(self.settings.cameras))
        self.reporter.tell_models(self.models.origins)
        self.supervisor.listen()
        # What is started is stopped in the opposite order, each piece whatever becomes of the others.
        with ExitStack() as stack:
            self.publisher.start()
            stack.push(self._stop_publisher(stop))
            self._wait_for_room(stop)
            self.loop.verdicts.start()
            stack.callback(self.loop.verdicts.stop)
            started_s = time.monotonic()
            for keeper in self._keepers:
                keeper.start()
                stack.callback(self._stop, keeper, stop)
            stack.callback(self.loop.end)
            stack.callback(self.supervisor.stop)
            stack.callback(batcher.close)
            self.supervisor.start(batcher, self.loop.assign)
            self._service.ready()
            self._conduct(batcher, stop)
            judging_s = time.monotonic() - started_s
            self._deliver(stop)
            for fault in () if stop.reason else self.supervisor.faults.values():
                raise fault
        return self._summary(judging_s, waiting_before, stop)

    def _wait_for_room(self, stop: Stop) -> None:
        """Let the broker take what fills the disk, before more is judged. Raises OutboxError where it does not."""
        started_s = time.monotonic()
        while not stop.reason and (why := why_no_room(self.publisher.outbox, time.monotonic() - started_s)):
            self.publisher.tell(why)
            self._check_threads()
            time.sleep(TURN_S)

    def _conduct(self, batcher: Batcher, stop: Stop) -> None:
        clock, look_s = WallClock(time.time(), time.monotonic()), 0.0
        try:
            while not (self.loop.is_idle and (stop.reason or batcher.is_finished)):
                judged = self.loop.turn(batcher, is_stopped=bool(stop.reason))
                if judged:
                    self.supervisor.judged([each.part for each in judged])
                    self.on_progress(len(judged))
                # Longer than a small batch: between two that follow each other there is nothing new to be told.
                if time.monotonic() >= look_s:
                    look_s = time.monotonic() + TURN_S
                    self._look_around(batcher, clock)
        finally:
            self.reporter.tell()

    def _look_around(self, batcher: Batcher, clock: WallClock) -> None:
        """See that all live, and tell how it stands where that has changed."""
        self._check_threads()
        self._check_patience(at_start=True)
        self.reporter.tell_models(self.models.origins)
        self.supervisor.tell()
        trouble = why_not_judging(self.loop.pause, self.models.recovery.problem, self.supervisor.states)
        self.publisher.outbox.look()
        trouble += filter(None, [self.loop.verdicts.problem, self.publisher.outbox.problem])
        self.publisher.tell("; ".join(trouble))
        clock.look(time.time(), time.monotonic())
        self.reporter.tell()
        self.reporter.beat(batcher.waiting)

    def _deliver(self, stop: Stop) -> None:
        """Wait for the acknowledgement of all that was judged."""
        while not stop.reason and not self.publisher.wait_idle(TURN_S):
            self._check_threads()
            self._check_patience(at_start=False)
        if not stop.reason:
            topics = [self.settings.topics.result(stream) for stream in self.settings.streams]
            require_taken(topics, self.publisher.refused, self.settings.broker, self.publisher.outbox)

    @property
    def _keepers(self) -> Sequence[Keeper[Any]]:
        """Who keeps what people look back at, in the order in which they are started."""
        return [keeper for keeper in (self.evidence, self.reporter.history) if keeper is not None]

    @property
    def _faults(self) -> Mapping[str, BaseException]:
        """What killed the threads without which nothing goes on, by their names."""
        faults = {"publisher": self.publisher.fault, **{each.name: each.fault for each in self._keepers}}
        faults |= self.loop.verdicts.faults
        return {name: fault for name, fault in faults.items() if fault is not None}

    def _check_threads(self) -> None:
        self.turned_s = time.monotonic()
        self._service.alive()
        for fault in self._faults.values():
            raise fault

    def _check_patience(self, at_start: bool) -> None:
        require_hope(self.models.recovery)
        if self.frames_total is not None:
            require_engine(self.models.recovery)
            if not (at_start and self.publisher.link.was_connected):
                require_broker(self.publisher.link, self.settings.broker, self.publisher.outbox)

    def _stop_publisher(
        self, stop: Stop
    ) -> Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], None]:
        def leave(_kind: type[BaseException] | None, fault: BaseException | None, _trace: TracebackType | None) -> None:
            why = "finished" if fault is None else str(fault) or type(fault).__name__
            self.publisher.stop(stop.reason or why, GRACE_S if fault is None else 0.0)

        return leave

    @staticmethod
    def _stop(keeper: Keeper[Any], stop: Stop) -> None:
        keeper.stop(EVIDENCE_GRACE_S if stop.reason else EVIDENCE_FINISH_S)

    def _summary(self, judging_s: float, waiting_before: int, stop: Stop) -> Summary:
        totals = self.reporter.totals
        judged = totals.verdicts.total()
        return Summary(
            verdicts=totals.by_word,
            judged=judged,
            unreadable=totals.unreadable,
            images_per_s=judged / judging_s,
            waiting_before=waiting_before,
            acknowledged=self.publisher.delivered.count,
            discarded=totals.discarded,
            waiting=self.publisher.outbox.events,
            stopped=stop.reason,
        )
