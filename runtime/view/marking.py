"""Marking over HTTP: `was good` or `was bad` of a judged part, for those whose token gives the right."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel, ConfigDict, StringConstraints

from core.datasets.remarks import Truth
from core.errors import OutboxError
from core.timestamps import rfc3339
from runtime.history.marks import Rate
from runtime.view.desk import TakesMarks


class Said(BaseModel):
    """What is said of a part."""

    model_config = ConfigDict(extra="forbid")

    was: Truth
    by: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
    """Who says so."""
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""


def add_marking(router: APIRouter, reviews: TakesMarks) -> None:
    """Let parts be marked by their events' ids, by whom the application's guard found to have the right."""

    def say(event_id: str, said: Said, request: Request) -> dict[str, Any]:
        """Keep it beside the evidence and tell the MES. A later mark of the same part counts in place of this one."""
        if not request.state.may_mark:
            raise HTTPException(403, "no right to mark: give the token that `view.mark_token_file` or `_env` names")
        try:
            kept = reviews.mark(event_id, said.was, said.by, said.note)
        except OutboxError as error:
            raise HTTPException(503, str(error)) from error
        if kept is None:
            raise HTTPException(404, "no such event in the history, which keeps so many (evidence.history_events)")
        return {
            "id": kept.id,
            "event_id": kept.event,
            "was": kept.was,
            "by": kept.by,
            "marked_time": rfc3339(kept.at_s),
        }

    router.post("/events/{event_id}/mark", summary="Say what a judged part really was")(say)


def told_as_json(reviews: TakesMarks | None) -> dict[str, dict[str, Any]]:
    """Give what people say of each camera's parts, beside what is promised; nothing of one of which nobody spoke."""
    return {
        camera: {
            "false_rejects": {**_rate(reviewed.false_rejects), "promised": reviewed.promised},
            "misses": _rate(reviewed.misses),
            "rejected": reviewed.rejected,
            "looked_at": reviewed.looked_at,
        }
        for camera, reviewed in (reviews.reviewed() if reviews else {}).items()
        if reviewed.looked_at or reviewed.misses.found
    }


class MarksCollector(Collector):
    """Gives what people say as metrics."""

    def __init__(self, reviews: TakesMarks) -> None:
        """Ask `reviews`."""
        self._reviews = reviews

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client.registry.Collector."""
        looked_at = GaugeMetricFamily("pwae_rejects_looked_at", "NotOK that people marked", labels=("camera",))
        promised = GaugeMetricFamily("pwae_false_reject_rate_promised", "By the thresholds", labels=("camera",))
        rates = {
            name: GaugeMetricFamily(f"pwae_{name}_rate_told", text, labels=("camera", "bound"))
            for name, text in (("false_reject", "Of good parts, by people's marks"), ("miss", "Of known bad parts"))
        }
        for camera, reviewed in self._reviews.reviewed().items():
            looked_at.add_metric((camera,), reviewed.looked_at)
            promised.add_metric((camera,), reviewed.promised)
            for name, rate in (("false_reject", reviewed.false_rejects), ("miss", reviewed.misses)):
                if rate.value is not None:
                    for bound, value in zip(("value", "low", "high"), (rate.value, *rate.interval), strict=True):
                        rates[name].add_metric((camera, bound), value)
        yield from (looked_at, promised, *rates.values())


def _rate(rate: Rate) -> dict[str, Any]:
    low, high = rate.interval
    return {"found": rate.found, "parts": round(rate.parts, 1), "rate": rate.value, "low": low, "high": high}
