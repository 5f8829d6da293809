"""The encoding of everything that is published: compact JSON, stamped when it is sent. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from core.timestamps import rfc3339

SCHEMA = "urn:p-wae:inspection:1"
GAP_SCHEMA = "urn:p-wae:gap:1"


def stamp(body: bytes, sent_at_s: float, replayed: bool) -> bytes:
    """Add what only the sender knows: `time` of publishing, and whether the event waited in the outbox."""
    return b'{"time":"%s","replayed":%s,' % (rfc3339(sent_at_s).encode(), b"true" if replayed else b"false") + body[1:]


def dumps(body: Mapping[str, Any]) -> bytes:
    """Compact JSON; a number that JSON cannot hold is a fault of ours and raises ValueError."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
