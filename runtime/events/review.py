"""Review events: they tell what a person said of a judged part afterwards. Pure."""

from collections.abc import Mapping
from typing import Any

from core.timestamps import rfc3339
from runtime.events.encoding import REVIEW_SCHEMA, dumps

REVIEW_TYPE = "pwae.review.v1"


def review(about: Mapping[str, Any], review_id: str, was: str, by: str, note: str, at_s: float) -> bytes:
    """Build the event that says what the part of the event `about` (see `event_of`) really was, as `by` says."""
    same = ("source", "station", "camera", "part_id", "job_id", "capture_time", "simulated")
    return dumps(
        {
            "schema": REVIEW_SCHEMA,
            "type": REVIEW_TYPE,
            "id": review_id,
            "event_id": about["id"],
            **{key: about[key] for key in same},
            "verdict": about["verdict"],
            "model_sha256": about["model"]["sha256"],
            "thresholds_id": about["thresholds_id"],
            "was": was,
            "by": by,
            "note": note,
            "marked_time": rfc3339(at_s),
        }
    )
