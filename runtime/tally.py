"""Tallies: what was judged so far, for the `counters` topic, and what came of a whole inspection."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.event import dumps
from runtime.verdict import Verdict


@dataclass
class Tally:
    """One camera's totals since the start."""

    since: str
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    unreadable: int = 0
    discarded: int = 0

    def payload(self) -> bytes:
        """What the `counters` topic tells."""
        return dumps(
            {
                "ok": self.verdicts[Verdict.OK],
                "not_ok": self.verdicts[Verdict.NOT_OK],
                "not_decidable": self.verdicts[Verdict.NOT_DECIDABLE],
                "discarded": self.discarded,
                "since": self.since,
            }
        )


@dataclass(frozen=True)
class Summary:
    """What came of an inspection."""

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
