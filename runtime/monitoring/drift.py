"""Trends: how much of the threshold good parts leave, and whether that shrinks. Pure.

The rule: the first REFERENCE good parts of a camera say what is usual here. Drift is told when the median margin of its
last RECENT good parts is below the worst tenth of the reference. While nothing changes, half of RECENT independent
parts fall into that tenth with a chance below 1e-11, so the warning means something: light, lens, fixture or material.
"""

from collections import deque
from dataclasses import dataclass, field
from statistics import median, quantiles

from runtime.parts.verdict import Judgement, Verdict

REFERENCE = 200
RECENT = 50
SHOWN = 240
"""How many parts a trend remembers for the eye."""


def drifts(reference: list[float], recent: list[float]) -> bool:
    """Say whether good parts come closer to the threshold than they used to; both are margins, 1 - e / eps."""
    if len(reference) < REFERENCE or len(recent) < RECENT:
        return False
    return median(recent) < quantiles(reference, n=10)[0]


@dataclass
class Trend:
    """One camera's margins since the start, or since its thresholds changed."""

    shown: deque[tuple[Verdict, float | None]] = field(default_factory=lambda: deque(maxlen=SHOWN))
    """The last parts of any verdict, oldest first."""
    thresholds_id: str = ""
    _reference: list[float] = field(default_factory=list)
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def add(self, judgement: Judgement, thresholds_id: str) -> None:
        """Take a part in. Margins against other thresholds cannot be compared: the reference begins anew."""
        if thresholds_id != self.thresholds_id:
            self.thresholds_id = thresholds_id
            self._reference.clear()
            self._recent.clear()
        self.shown.append((judgement.verdict, judgement.margin))
        if judgement.verdict == Verdict.OK and judgement.margin is not None:
            if len(self._reference) < REFERENCE:
                self._reference.append(judgement.margin)
            else:
                self._recent.append(judgement.margin)

    @property
    def usual(self) -> float | None:
        """The median margin of the reference; None until it is complete."""
        return median(self._reference) if len(self._reference) == REFERENCE else None

    @property
    def drifts(self) -> bool:
        """Whether the recent good parts are nearer to the threshold than those of the reference."""
        return drifts(self._reference, list(self._recent))
