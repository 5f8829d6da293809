"""The encoding of everything that is published: compact JSON, stamped when it is sent. Pure."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from core.timestamps import rfc3339

SCHEMA = "urn:p-wae:inspection:1"
GAP_SCHEMA = "urn:p-wae:gap:1"
REVIEW_SCHEMA = "urn:p-wae:review:1"
PLAIN = frozenset({str, int, bool, type(None)})


def stamp(body: bytes, sent_at_s: float, replayed: bool) -> bytes:
    """Add what only the sender knows: `time` of publishing, and whether the event waited in the outbox."""
    return b'{"time":"%s","replayed":%s,' % (rfc3339(sent_at_s).encode(), b"true" if replayed else b"false") + body[1:]


def dumps(body: Mapping[str, Any]) -> bytes:
    """Compact JSON; a number that JSON cannot hold is a fault of ours and raises ValueError."""
    _require_finite(body.values())  # orjson would write null
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:  # it knows no numbers above 64 bits, and no keys but text
        return json.dumps(body, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def _require_finite(values: Iterable[object]) -> None:
    for value in values:
        if type(value) in PLAIN:
            continue
        if isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError(f"{value} cannot be told in JSON")
        elif isinstance(value, dict):
            _require_finite(value.values())
        elif isinstance(value, list | tuple):
            _require_finite(value)
