"""Looking back: the history as pages and as JSON, and the evidence by its event's id."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse

from core.timestamps import rfc3339
from runtime.evidence.overlay import jpeg
from runtime.history.entry import Entry, Kind, Wanted
from runtime.history.marks import Mark, marks_of
from runtime.view.past import MAP, Past
from runtime.view.pictures import WIDEST_PX, InTurn, read_no_wider
from runtime.view.query import no_misspelt_keys
from runtime.view.rendering import Pages

PAGE = 48
"""Parts a page."""
FILTER = ("camera", "since", "until", "part", "job", "recipe")
"""What may be asked for beside the verdict."""
Width = Annotated[int | None, Query(ge=16, le=WIDEST_PX)]


def asked(
    camera: str = "",
    verdict: Kind = Kind.REJECTS,
    since: str = "",
    until: str = "",
    part: str = "",
    job: str = "",
    recipe: str = "",
) -> Wanted:
    """Read the filter that stands in an address; times without a zone are the station's."""
    return Wanted(verdict, camera or None, _moment(since), _moment(until), part or None, job or None, recipe or None)


Asked = Annotated[Wanted, Depends(asked)]


def history_router(past: Past, pages: Pages, cameras: Sequence[str]) -> APIRouter:
    """Give the pages and their JSON."""
    router = APIRouter()
    router.include_router(_data_router(past))  # first: an event's page would take its JSON for an id
    router.include_router(_pages_router(past, pages, cameras))
    return router


def _data_router(past: Past) -> APIRouter:
    """What programs and pages ask for: JSON and pictures."""
    router = APIRouter(dependencies=[Depends(no_misspelt_keys)])

    @router.get("/history.json", summary="Judged parts, the newest first; `after` an event's id come the older ones")
    def history_json(wanted: Asked, after: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = PAGE) -> Any:
        try:
            return [_told(past, entry) for entry in _page(past, wanted, after, limit)]
        except sqlite3.Error as error:
            raise HTTPException(503, f"the history cannot be read: {error}") from error

    @router.get("/event/{event_id}.json", summary="A judged part's event, as it was sent to the MES")
    def event_json(event_id: str) -> Any:
        return _found(past, event_id)[1]

    def evidence(name: str, width: Width = None) -> Response:
        event_id, kind = (name.removesuffix(MAP), MAP) if name.endswith(MAP) else (name, "")
        entry = _found(past, event_id)[0]
        file = past.picture(entry, kind)
        if file is None:
            raise HTTPException(404, "no picture of it was kept, or it was cleared since")
        try:
            if width is None:
                return FileResponse(file, media_type="image/jpeg")
            return Response(jpeg(read_no_wider(file, width)), media_type="image/jpeg")
        except OSError as error:
            raise HTTPException(404, "the picture was cleared") from error

    told = "A part's picture by its event's id; with -map its error map"
    router.add_api_route("/evidence/{name}.jpg", evidence, summary=told, route_class_override=InTurn)
    return router


def _pages_router(past: Past, pages: Pages, cameras: Sequence[str]) -> APIRouter:
    """What people look at."""
    router = APIRouter(include_in_schema=False)

    @router.get("/history")
    def history(request: Request, wanted: Asked, after: str = "") -> Response:
        try:
            entries = _page(past, wanted, after)
            reasons = past.file.reasons(entries)
        except sqlite3.Error:
            return pages.render(request, "message.html", 503, message="history_fails")
        more = len(entries) == PAGE
        form = {name: request.query_params.get(name, "") for name in FILTER}
        return pages.render(
            *(request, "history.html"),
            entries=[_shown(past, entry, reasons[entry.id]) for entry in entries],
            form={**form, "verdict": str(wanted.kind)},
            cameras=cameras,
            kinds=[kind.value for kind in Kind],
            filter=_filter(request),
            older=_filter(request, after=entries[-1].id) if more else None,
            is_first=not after,
        )

    @router.get("/event/{event_id}")
    def event(request: Request, event_id: str, wanted: Asked) -> Response:
        try:
            entry, body = _found(past, event_id)
            newer = past.file.next_newer(wanted, entry)
            older = next(iter(past.file.find(wanted, 1, entry)), None)
            marked = marks_of(past.file, event_id)
        except (HTTPException, sqlite3.Error):
            return pages.render(request, "message.html", 404, message="gone")
        return pages.render(
            *(request, "event.html"),
            entry=_shown(past, entry, body["verdict"]["reason"]),
            body=body,
            tiles=_tiles(body),
            marks=[_said(mark) for mark in marked],
            may_mark=request.state.may_mark,
            newer=newer.id if newer else None,
            older=older.id if older else None,
            filter=_filter(request),
        )

    return router


def no_history_router(pages: Pages) -> APIRouter:
    """Give the page of a station that keeps no history."""
    router = APIRouter(include_in_schema=False)

    @router.get("/history")
    def history(request: Request) -> Response:
        return pages.render(request, "message.html", message="no_history")

    return router


def _page(past: Past, wanted: Wanted, after: str, limit: int = PAGE) -> list[Entry]:
    return past.file.find(wanted, limit, _found(past, after)[0] if after else None)


def _found(past: Past, event_id: str) -> tuple[Entry, dict[str, Any]]:
    try:
        found = past.file.get(event_id)
    except sqlite3.Error as error:
        raise HTTPException(503, f"the history cannot be read: {error}") from error
    if found is None:
        raise HTTPException(404, "no such event in the history, or not any more")
    return found


def _shown(past: Past, entry: Entry, reasons: Sequence[str]) -> dict[str, Any]:
    """What a template shows of an entry."""
    return {
        **_told(past, entry),
        "time": _local(entry.at_s),
        "reasons": reasons,
        "ratio": None if entry.margin is None else 1 - entry.margin,
    }


def _told(past: Past, entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "capture_time": rfc3339(entry.at_s),
        "camera": entry.camera,
        "verdict": entry.verdict.word,
        "margin": entry.margin,
        "part_id": entry.part,
        "job_id": entry.job,
        "recipe": entry.recipe,
        "file": entry.file,
        "picture": f"evidence/{entry.id}.jpg" if past.picture(entry) else None,
        "map": f"evidence/{entry.id}{MAP}.jpg" if past.picture(entry, MAP) else None,
    }


def _said(mark: Mark) -> dict[str, str]:
    return {"was": str(mark.was), "by": mark.by, "note": mark.note, "time": _local(mark.at_s)}


def _local(at_s: float) -> str:
    return datetime.fromtimestamp(at_s).strftime("%Y-%m-%d %H:%M:%S")


def _tiles(body: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Lay an event's tiles out by rows."""
    rows: dict[int, list[dict[str, Any]]] = {}
    for tile in body["tiles"]:
        rows.setdefault(tile["row"], []).append({**tile, "ratio": tile["value"] / tile["threshold"]})
    return [rows[row] for row in sorted(rows)]


def _filter(request: Request, **more: str) -> str:
    """Give the filter of the page asked for, as it stands in an address."""
    kept = {name: value for name in ("verdict", *FILTER) if (value := request.query_params.get(name))}
    return str(request.url.replace(query="").include_query_params(**kept, **more).query)


def _moment(text: str) -> float | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise HTTPException(400, "a time is written 2026-11-23T06:00, or with its zone") from error
