"""A judged part: one record that follows a part from its verdict to its event."""

from dataclasses import dataclass

from core.thresholds import Thresholds
from runtime.events.event import EvidenceRef, Timing, Told, build
from runtime.events.origin import Origin, event_id
from runtime.parts.job import NO_JOB, Job
from runtime.parts.part import Part
from runtime.parts.verdict import Judgement


@dataclass(frozen=True)
class JudgedPart:
    """What is known of a part when its batch is done."""

    part: Part
    origin: Origin
    """Who judged it."""
    judgement: Judgement
    seq: int
    """Of its camera in this run, from 1."""
    thresholds: Thresholds
    """Those that it was judged by."""
    timing: Timing
    evidence: EvidenceRef | None
    """None: no picture of it is kept."""
    told: Told | None = None
    """None: no actuator is told of its camera."""
    job: Job = NO_JOB
    """What it is made for."""

    @property
    def id(self) -> str:
        """Of its event."""
        return event_id(self.origin, self.part, self.seq)

    def event(self) -> bytes:
        """What the MES is told of it."""
        return build(
            *(self.origin, self.part, self.seq),
            judgement=self.judgement,
            thresholds=self.thresholds,
            timing=self.timing,
            job=self.job,
            told=self.told,
            evidence=self.evidence,
        )
