"""Events: what the MES is told of one judged part. Pure; times and identity come from outside.

Types never change: a float stays a float (0.0, not 0), what is not known is null.
"""

import datetime
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from core.thresholds import Thresholds
from runtime.batch import Part
from runtime.bundle import Manifest
from runtime.verdict import Judgement, Verdict

SCHEMA = "urn:p-wae:inspection:1"
TYPE = "pwae.inspection.v1"
GAP_SCHEMA = "urn:p-wae:gap:1"
GAP_TYPE = "pwae.gap.v1"
NAMESPACE = uuid.UUID("5d0c2d4e-6c0b-5f0e-9a63-6f2d1f6b7a10")
"""Of the event ids (UUIDv5)."""


@dataclass(frozen=True)
class Origin:
    """Who judges: the same for all events of one run."""

    station: str
    boot_id: str
    """New at every start, so that `seq` can begin at 1 again."""
    backend: str
    manifest: Manifest
    engine_sha256: str | None = None
    """Of the engine that computes; None: `model.onnx` itself."""
    simulated: bool = False
    """Whether verdicts are invented, for an MES side that is built before the cameras hang."""

    def card(self) -> bytes:
        """What the `model` topic tells."""
        manifest = self.manifest
        return dumps(
            {
                "name": manifest.name,
                "version": manifest.created,
                "sha256": manifest.model_sha256,
                "precision": manifest.precision,
                "backend": self.backend,
                "grid": manifest.grid,
                "score_unit": manifest.score_unit,
                "thresholds_id": manifest.thresholds.id,
                "false_reject_rate": manifest.thresholds.false_reject_rate,
            }
        )


@dataclass(frozen=True)
class Timing:
    """How long a part took, in ms."""

    capture_to_infer: float
    infer: float
    total: float


@dataclass(frozen=True)
class EvidenceRef:
    """Where a part's picture is kept, and how to know it again."""

    ref: str
    """Path below the station's evidence folder."""
    sha256: str
    media_type: str


def event_id(origin: Origin, camera: str, seq: int) -> str:
    """Deterministic: an event that is sent again has the same id."""
    return str(uuid.uuid5(NAMESPACE, f"{origin.station}/{origin.boot_id}/{camera}/{seq}"))


def build(
    origin: Origin,
    part: Part,
    seq: int,
    *,
    judgement: Judgement,
    thresholds: Thresholds,
    timing: Timing,
    evidence: EvidenceRef | None = None,
) -> bytes:
    """Build the event as JSON, without what only the sender knows (see `stamp`)."""
    manifest = origin.manifest
    body = {
        "schema": SCHEMA,
        "type": TYPE,
        "id": event_id(origin, part.camera, seq),
        "source": f"{origin.station}/{part.camera}",
        "capture_time": rfc3339(part.captured_at_s),
        "seq": seq,
        "boot_id": origin.boot_id,
        "station": origin.station,
        "camera": part.camera,
        "part_id": part.trigger.part_id if part.trigger else None,
        "job_id": part.trigger.job_id if part.trigger else None,
        "recipe": part.trigger.recipe if part.trigger else None,
        "trigger": {"kind": "mqtt", "id": part.trigger.id} if part.trigger else None,
        "simulated": origin.simulated,
        "verdict": {
            "code": int(judgement.verdict),
            "name": judgement.verdict.word,
            "reason": [str(reason) for reason in judgement.reasons],
        },
        **_errors(judgement, thresholds, manifest),
        "model": {
            "name": manifest.name,
            "version": manifest.created,
            "sha256": manifest.model_sha256,
            "engine_sha256": origin.engine_sha256,
            "precision": manifest.precision,
            "backend": origin.backend,
        },
        "thresholds_id": thresholds.id,
        "frame": {
            "width": part.size[0] if part.size else None,
            "height": part.size[1] if part.size else None,
            "channels": 3 if part.size else None,
            "source": part.source,
        },
        "timing_ms": {
            "capture_to_infer": round(float(timing.capture_to_infer), 3),
            "infer": round(float(timing.infer), 3),
            "total": round(float(timing.total), 3),
        },
        "evidence": asdict(evidence) if evidence else None,
    }
    return dumps(body)


def gap_of(discarded: bytes) -> bytes:
    """Build the event that tells of an event (see `build`) which was given up before it was sent."""
    event = json.loads(discarded)
    return _gap(event, event["seq"], event["seq"])


def joined_gap(one: bytes, other: bytes) -> bytes | None:
    """Join two gaps that lie side by side in one run of a camera; None where they do not."""
    first, second = sorted((json.loads(one), json.loads(other)), key=lambda gap: int(gap["first_seq"]))
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


def stamp(body: bytes, sent_at_s: float, replayed: bool) -> bytes:
    """Add what only the sender knows: `time` of publishing, and whether the event waited in the outbox."""
    return b'{"time":"%s","replayed":%s,' % (rfc3339(sent_at_s).encode(), b"true" if replayed else b"false") + body[1:]


def dumps(body: Mapping[str, Any]) -> bytes:
    """Compact JSON; a number that JSON cannot hold is a fault of ours and raises ValueError."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def rfc3339(unix_s: float) -> str:
    """RFC 3339 in UTC with milliseconds, as in `2026-11-23T22:05:07.120Z`."""
    moment = datetime.datetime.fromtimestamp(unix_s, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _errors(judgement: Judgement, thresholds: Thresholds, manifest: Manifest) -> dict[str, Any]:
    if judgement.errors is None:
        return {"score": None, "tiles": [], "worst_tile": None}
    places = [divmod(index, manifest.grid) for index in range(manifest.grid**2)]
    tiles = list(zip(places, judgement.errors[1:], thresholds.values[1:], judgement.tile_verdicts, strict=True))
    worst_row, worst_col = max(tiles, key=lambda tile: tile[1] / tile[2])[0]
    return {
        "score": {
            "value": _number(judgement.errors[0]),
            "threshold": _number(thresholds.values[0]),
            "margin": judgement.margin and round(judgement.margin, 6),
            "unit": manifest.score_unit,
        },
        "tiles": [
            {
                "row": row,
                "col": col,
                "value": _number(value),
                "threshold": _number(threshold),
                "verdict": Verdict(verdict).word,
            }
            for (row, col), value, threshold, verdict in tiles
        ],
        "worst_tile": {"row": worst_row, "col": worst_col},
    }


def _number(value: float) -> float:
    """Nine significant digits: all that a float32 holds."""
    return float(f"{value:.9g}")
