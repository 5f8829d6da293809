"""Tallies."""

import json
from collections import Counter

from runtime.monitoring.counters import Counters
from runtime.parts.verdict import Verdict


def test_counters_tell_every_verdict_and_what_was_discarded() -> None:
    verdicts = Counter({Verdict.OK: 5, Verdict.NOT_OK: 2, Verdict.NOT_DECIDABLE: 1})
    assert json.loads(Counters("2026-11-23T22:05:07.120Z", verdicts, unreadable=1, discarded=3, late=4).payload()) == {
        "ok": 5,
        "not_ok": 2,
        "not_decidable": 1,
        "discarded": 3,
        "late": 4,
        "drifts": False,
        "since": "2026-11-23T22:05:07.120Z",
    }
