"""A judged part: one record that follows a part from its verdict to its event."""

from dataclasses import dataclass

from core.thresholds import Thresholds
from runtime.events.event import EvidenceRef, Timing, Told, build
from runtime.events.job import NO_JOB, Job
from runtime.events.origin import Origin
from runtime.parts.part import Part
from runtime.parts.verdict import Judgement


@dataclass(frozen=True)
class JudgedPart:
    """What is known of a part when its batch is done."""

    part: Part
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

    def event(self, origin: Origin) -> bytes:
        """What the MES is told of it."""
        return build(
            *(origin, self.part, self.seq),
            judgement=self.judgement,
            thresholds=self.thresholds,
            timing=self.timing,
            job=self.job,
            told=self.told,
            evidence=self.evidence,
        )
