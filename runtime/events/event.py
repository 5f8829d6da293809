"""Events: a part from its verdict on, and what the MES is told of it. Pure; times and identity come from outside.

Types never change: a float stays a float (0.0, not 0), what is not known is null.
"""

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from core.thresholds import Thresholds
from core.timestamps import rfc3339
from runtime.bundles.manifest import Manifest
from runtime.events.encoding import SCHEMA, dumps
from runtime.events.origin import Origin, event_id
from runtime.parts.job import NO_JOB, Job
from runtime.parts.part import Part
from runtime.parts.verdict import Judgement

TYPE = "pwae.inspection.v1"


@dataclass(frozen=True)
class Timing:
    """How long a part took, in ms."""

    capture_to_infer: float
    infer: float
    total: float


@dataclass(frozen=True)
class Notice:
    """When an actuator was told a part's verdict, and whether it was the verdict."""

    after_ms: float
    """Since the frame, or its trigger's time."""
    is_late: bool
    """None stood in time: it was told as NotDecidable."""


@dataclass(frozen=True)
class EvidenceRef:
    """Where a part's picture is kept, and how to know it again."""

    ref: str
    """Path below the station's evidence folder."""
    media_type: str
    url: str | None = None
    """Where the page gives it; None where there is no page."""
    sha256: str | None = None
    """Not known: the picture is encoded after the event, which waits for no disk."""


@dataclass(frozen=True)
class JudgedPart:
    """What is known of a part when its batch is done."""

    part: Part
    origin: Origin
    """Who judged it."""
    judgement: Judgement
    seq: int
    """Of its camera in this run, from 1."""
    thresholds: Thresholds
    """Those that it was judged by."""
    timing: Timing
    evidence: EvidenceRef | None
    """None: no picture of it is kept."""
    notice: Notice | None = None
    """None: no actuator is told of its camera."""
    job: Job = NO_JOB
    """What it is made for."""

    @property
    def id(self) -> str:
        """Of its event."""
        return event_id(self.origin, self.part, self.seq)


def event_of(judged: JudgedPart) -> bytes:
    """Build the event as JSON, without what only the sender knows (see `stamp`)."""
    part, origin, judgement, timing = judged.part, judged.origin, judged.judgement, judged.timing
    manifest = origin.manifest
    body = {
        "schema": SCHEMA,
        "type": TYPE,
        "id": judged.id,
        "source": f"{origin.station}/{part.camera}",
        "capture_time": rfc3339(part.captured.at_s),
        "seq": judged.seq,
        "boot_id": origin.boot_id,
        "station": origin.station,
        "camera": part.camera,
        "part_id": part.part_id,
        **vars(judged.job),
        "trigger": {"kind": "mqtt", "id": part.trigger.id} if part.trigger else None,
        "simulated": origin.simulated,
        "verdict": {
            "code": int(judgement.verdict),
            "name": judgement.verdict.word,
            "reason": [str(reason) for reason in judgement.reasons],
        },
        **_errors(judgement, judged.thresholds, manifest),
        "model": {
            "name": manifest.name,
            "version": manifest.created,
            "sha256": manifest.model_sha256,
            "engine_sha256": origin.engine_sha256,
            "precision": manifest.precision,
            "backend": origin.backend,
        },
        "thresholds_id": judged.thresholds.id,
        "frame": {
            "width": part.size[0] if part.size else None,
            "height": part.size[1] if part.size else None,
            "channels": 3 if part.size else None,
            "source": part.source,
        },
        "chunks": _chunks(part),
        "timing_ms": {
            "capture_to_infer": round(float(timing.capture_to_infer), 3),
            "infer": round(float(timing.infer), 3),
            "total": round(float(timing.total), 3),
        },
        "actuator": _notice(judged.notice),
        "evidence": asdict(judged.evidence) if judged.evidence else None,
    }
    return dumps(body)


def _chunks(part: Part) -> dict[str, int | float | str] | None:
    """Give what the camera said of the frame, without what is no number, as of a sensor that is broken."""
    if part.chunks is None:
        return None
    return {name: told for name, told in part.chunks.items() if not isinstance(told, float) or math.isfinite(told)}


def _notice(notice: Notice | None) -> dict[str, Any] | None:
    return {"after_ms": round(float(notice.after_ms), 3), "late": notice.is_late} if notice else None


def _errors(judgement: Judgement, thresholds: Thresholds, manifest: Manifest) -> dict[str, Any]:
    if judgement.errors is None:
        return {"score": None, "tiles": [], "worst_tile": None}
    places = [divmod(index, manifest.grid) for index in range(manifest.grid**2)]
    limits = _numbers(thresholds.values)
    tiles = list(zip(places, judgement.errors[1:], limits[1:], judgement.tile_verdicts, strict=True))
    worst_row, worst_col = max(tiles, key=lambda tile: tile[1] / tile[2])[0]
    return {
        "score": {
            "value": _number(judgement.errors[0]),
            "threshold": limits[0],
            "margin": judgement.margin and round(judgement.margin, 6),
            "unit": manifest.score_unit,
        },
        "tiles": [
            {
                "row": row,
                "col": col,
                "value": _number(value),
                "threshold": threshold,
                "verdict": verdict.word,
            }
            for (row, col), value, threshold, verdict in tiles
        ],
        "worst_tile": {"row": worst_row, "col": worst_col},
    }


@lru_cache(64)
def _numbers(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(_number(value) for value in values)


def _number(value: float) -> float:
    """Nine significant digits: all that a float32 holds."""
    return float(f"{value:.9g}")
