"""Gap events: they tell which events of a camera were given up before they were sent. Pure."""

import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from runtime.events.encoding import GAP_SCHEMA, dumps
from runtime.events.origin import NAMESPACE

GAP_TYPE = "pwae.gap.v1"


def gap_of(discarded: bytes) -> bytes:
    """Build the event that tells of an event (see `event_of`) which was given up before it was sent."""
    event = orjson.loads(discarded)
    return _gap(event, event["seq"], event["seq"])


def joined_gap(one: bytes, other: bytes) -> bytes | None:
    """Join two gaps that lie side by side in one run of a camera; None where they do not."""
    first, second = sorted((orjson.loads(one), orjson.loads(other)), key=lambda gap: int(gap["first_seq"]))
    if first["boot_id"] != second["boot_id"] or first["last_seq"] + 1 != second["first_seq"]:
        return None
    return _gap(first, first["first_seq"], second["last_seq"])


def _gap(about: Mapping[str, Any], first_seq: int, last_seq: int) -> bytes:
    same = {key: about[key] for key in ("source", "boot_id", "station", "camera", "simulated")}
    name = f"{same['station']}/{same['boot_id']}/{same['camera']}/{first_seq}-{last_seq}"
    return dumps(
        {
            "schema": GAP_SCHEMA,
            "type": GAP_TYPE,
            "id": str(uuid.uuid5(NAMESPACE, name)),
            **same,
            "first_seq": first_seq,
            "last_seq": last_seq,
        }
    )
