"""The live page: every camera's newest verdict with its picture, and one camera on the whole screen."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from core.timestamps import rfc3339
from runtime.evidence.overlay import draw
from runtime.evidence.part_picture import PartPicture
from runtime.history.shifts import shift_start
from runtime.monitoring.health import StationStatus, warnings_of, why_not_ready
from runtime.monitoring.live_view import LiveView
from runtime.parts.verdict import GIVEN, Verdict
from runtime.view.desk import TakesMarks
from runtime.view.marking import told_as_json
from runtime.view.past import Past
from runtime.view.pictures import WIDEST_PX, InTurn, as_jpeg, no_wider
from runtime.view.rendering import Pages

Which = Literal["last", "rejected"]


def live_router(
    display: LiveView,
    look: Callable[[], StationStatus],
    past: Past | None,
    pages: Pages,
    reviews: TakesMarks | None,
) -> APIRouter:
    """Give the pages, their state and their pictures.

    `look` looks at the station, `reviews` what people say of each camera's parts.
    """
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    def index(request: Request) -> Response:
        return _page(request, list(look().cameras), None)

    @router.get("/camera/{camera}", include_in_schema=False)
    def one(request: Request, camera: str) -> Response:
        if camera not in look().cameras:
            return Response("no such camera\n", 404, media_type="text/plain")
        return _page(request, [camera], camera)

    def _page(request: Request, cameras: list[str], only: str | None) -> Response:
        simulated = look().origin.simulated
        return pages.render(
            request, "live.html", cameras=cameras, only=only, has_history=past is not None, simulated=simulated
        )

    @router.get("/state.json", summary="All that the page shows, except the pictures")
    def state() -> dict[str, Any]:
        return _state(look(), display, past, told_as_json(reviews))

    def picture(
        camera: str,
        which: Which,
        kind: Literal["map", "plain"],
        width: Annotated[int | None, Query(ge=16, le=WIDEST_PX)] = None,
    ) -> Response:
        with display.lock:
            shown = getattr(display.views[camera], which) if camera in display.views else None
        if shown is None:
            return Response("no picture yet\n", 404, media_type="text/plain")
        # Verdict and picture come in one answer: so nobody sees the one under the other's.
        headers = {"X-Part": json.dumps(_caption(shown))}
        pixels = shown.part.pixels_bgr_u8
        if pixels is None:
            return Response("no picture\n", 404, headers, media_type="text/plain")
        pixels = no_wider(pixels, width)
        return as_jpeg(draw(pixels, shown) if kind == "map" else pixels, headers)

    router.add_api_route(
        "/camera/{camera}/{which}/{kind}.jpg",
        picture,
        summary="A camera's newest picture (last), or the newest that was not passed (rejected)",
        route_class_override=InTurn,
    )
    return router


def _state(found: StationStatus, display: LiveView, past: Past | None, told: Mapping[str, Any]) -> dict[str, Any]:
    """Give all that the page shows of a station, as JSON; `told` is what people say of each camera's parts."""
    origin, link = found.origin, found.delivery.link
    shift, of_shift = _shift(past)
    return {
        "station": found.prefix,
        "title": origin.station,
        "simulated": origin.simulated,
        "now": rfc3339(time.time()),
        "boot_id": origin.boot_id,
        "model": {
            "created": origin.manifest.created,
            **origin.told(),
            "recipes": {recipe: each.told() for recipe, each in found.origins.items() if recipe is not None},
        },
        "broker": {"state": str(link.state), "reason": link.reason},
        "outbox": found.delivery.waiting,
        "evidence": asdict(found.evidence) if found.evidence else None,
        "problems": why_not_ready(found),
        "warnings": warnings_of(found),
        "shift_since": shift,
        "cameras": {
            name: {
                "state": camera.state,
                "late": camera.late,
                "told": told.get(name),
                **_counts(camera.verdicts),
                "shift": None if of_shift is None else _counts(of_shift.get(name, {})),
                **_camera_view(display, name, past),
            }
            for name, camera in found.cameras.items()
        },
    }


def _shift(past: Past | None) -> tuple[str | None, Mapping[str, Counter[Verdict]] | None]:
    """Give when this shift began, and what was judged in it; None where there is no history to tell it."""
    if past is None:
        return None, None
    start = shift_start(time.time(), past.shifts)
    try:
        return start, past.file.of_shift(start)
    except sqlite3.Error:
        return start, None


def _job(past: Past | None, camera: str, shown: PartPicture | None) -> dict[str, Any] | None:
    job = None if shown is None else shown.job.job_id
    if past is None or job is None:
        return None
    try:
        return {"id": job, **_counts(past.file.of_job(camera, job))}
    except sqlite3.Error:
        return None


def _counts(verdicts: Mapping[Verdict, int]) -> dict[str, int]:
    return {verdict.key: verdicts.get(verdict, 0) for verdict in GIVEN}


def _camera_view(display: LiveView, camera: str, past: Past | None) -> dict[str, Any]:
    with display.lock:
        seen = display.views[camera]
        judgement, trend, last, rejected = seen.judgement, seen.trend, seen.last, seen.rejected
        view = {
            "verdict": judgement.verdict.word if judgement else None,
            "reasons": [str(reason) for reason in judgement.reasons] if judgement else [],
            "margin": judgement.margin if judgement else None,
            "captured_at": rfc3339(seen.judged_at_s) if seen.judged_at_s is not None else None,
            "trend": [[int(verdict), None if m is None else round(m, 4)] for verdict, m in trend.shown],
            "usual": trend.usual,
            "drifts": trend.drifts,
        }
    return {**view, "last": _caption(last), "rejected": _caption(rejected), "job": _job(past, camera, last)}


def _caption(shown: PartPicture | None) -> dict[str, Any] | None:
    if shown is None:
        return None
    return {
        "id": shown.event_id,
        "captured_at": rfc3339(shown.part.captured.at_s),
        "verdict": shown.judgement.verdict.word,
        "margin": shown.judgement.margin,
        "reasons": [str(reason) for reason in shown.judgement.reasons],
        "part_id": shown.part.part_id,
        "job_id": shown.job.job_id,
        "recipe": shown.job.recipe,
        "file": shown.part.source,
    }
