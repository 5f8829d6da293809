"""Counters: what was judged so far of each camera, for the `counters` topic."""

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from core.timestamps import rfc3339
from runtime.events.encoding import dumps
from runtime.monitoring.drift import Trend
from runtime.parts.part import Part
from runtime.parts.verdict import GIVEN, Judgement, Reason, Verdict


@dataclass
class Counters:
    """One camera's totals since the start."""

    since: str = field(default_factory=lambda: rfc3339(time.time()))
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    unreadable: int = 0
    """Pictures that could not be read."""
    discarded: int = 0
    """Events given up because the outbox was full."""
    late: int = 0
    """Parts that whoever rejects had no verdict of in time."""
    trend: Trend = field(default_factory=Trend)

    def count(self, part: Part, judgement: Judgement, thresholds_id: str, recipe: str | None = None) -> None:
        """Count a part that was judged against those thresholds by the model of `recipe` (see Origin)."""
        self.verdicts[judgement.verdict] += 1
        self.trend.add(judgement, thresholds_id, recipe)
        self.unreadable += Reason.UNREADABLE in part.faults

    @property
    def by_word(self) -> dict[str, int]:
        """The verdicts by their names in OPC 40001-101."""
        return {verdict.word: self.verdicts[verdict] for verdict in GIVEN}

    def payload(self) -> bytes:
        """What the `counters` topic tells."""
        return dumps(
            {
                **{verdict.key: self.verdicts[verdict] for verdict in GIVEN},
                "discarded": self.discarded,
                "late": self.late,
                "drifts": self.trend.drifts,
                "since": self.since,
            }
        )


def total(cameras: Collection[Counters]) -> Counters:
    """Add up the totals of one or more cameras."""
    return Counters(
        since=min(each.since for each in cameras),
        verdicts=sum((each.verdicts for each in cameras), Counter[Verdict]()),
        unreadable=sum(each.unreadable for each in cameras),
        discarded=sum(each.discarded for each in cameras),
    )
