"""Messages of a station as they should be, and as nobody should send them."""

import copy
from typing import Any

EVENT: dict[str, Any] = {
    "id": "0f3b2f5e-5c1e-4a6e-9f5a-7d1c3b2a1f00",
    "boot_id": "b",
    "camera": "top",
    "seq": 7,
    "simulated": False,
    "replayed": False,
    "time": "2026-11-23T22:05:07.120Z",
    "capture_time": "2026-11-23T22:05:07.000Z",
    "verdict": {"code": 2, "name": "NotOK", "reason": ["tile_error"]},
    "score": {"value": 1, "threshold": 0.42, "margin": -0.18},
    "worst_tile": {"row": 1, "col": 2},
    "part_id": None,
    "job_id": None,
    "recipe": None,
    "model": {"name": "my-part", "version": "2026", "sha256": "ab" * 32},
    "thresholds_id": "0123456789ab",
    "timing_ms": {"total": 5.5},
    "evidence": None,
}
MISSING = object()
WRONG: tuple[tuple[str, object], ...] = (
    ("verdict", "OK"),
    ("verdict.code", "2"),
    ("verdict.code", 2.0),
    ("verdict.code", None),
    ("verdict.code", True),
    ("verdict.code", 2**40),
    ("verdict.name", 2),
    ("verdict.reason", "black"),
    ("verdict.reason", [None]),
    ("score", 5),
    ("score.value", "0.3"),
    ("score.value", float("nan")),
    ("score.margin", float("inf")),
    ("score.threshold", 10**400),
    ("worst_tile.row", 1.5),
    ("seq", 2**70),
    ("seq", [7]),
    ("id", 7),
    ("id", None),
    ("id", MISSING),
    ("part_id", 4711),
    ("part_id", "\ud800"),
    ("simulated", "false"),
    ("simulated", None),
    ("replayed", 0),
    ("capture_time", "yesterday"),
    ("capture_time", "2026-11-23T22:05:07.000"),
    ("capture_time", 0),
    ("capture_time", "20261123"),
    ("time", "2026-11-23"),
    ("time", MISSING),
    ("model.name", {}),
    ("model.sha256", "xyz"),
    ("thresholds_id", 12),
    ("timing_ms.total", None),
    ("evidence", "picture.jpg"),
    ("evidence", {"ref": 1}),
)
"""Of an event, each by itself."""


def with_wrong(key: str, value: object) -> dict[str, Any]:
    """The event with something wrong at a key, of which dots lead inwards."""
    event = copy.deepcopy(EVENT)
    *above, last = key.split(".")
    inner = event
    for each in above:
        inner = inner[each]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value
    return event
