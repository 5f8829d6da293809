"""Counters: what was judged so far of each camera, for the `counters` topic."""

from collections import Counter
from dataclasses import dataclass, field

from runtime.events.encoding import dumps
from runtime.parts.verdict import Verdict


@dataclass
class Counters:
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
