"""The HTTP API beside the pages: a picture is judged by whoever has its token, and what else may be asked is told."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from core.pictures.picture_header import PictureFault
from runtime.view.bodies import ShortBodies, read_body
from runtime.view.desk import BusyError, Judges, TakesMarks
from runtime.view.marking import add_marking
from runtime.view.query import no_misspelt_keys
from runtime.view.rendering import Pages

LARGEST_BYTES = 2**25
BODIES = 4
"""Held in memory at a time; others wait unread."""
PICTURES = ("image/png", "image/jpeg", "image/bmp", "image/tiff", "image/webp")


def api_router(app: FastAPI, judge: Judges | None, reviews: TakesMarks | None, pages: Pages) -> APIRouter:
    """Give what programs ask for; without `judge` no pictures are judged, without `reviews` nothing can be marked."""
    router = APIRouter()
    if reviews is not None:
        marks = APIRouter(route_class=ShortBodies)
        add_marking(marks, reviews)
        router.include_router(marks)

    @router.get("/openapi.json", include_in_schema=False)
    def openapi() -> dict[str, Any]:
        return app.openapi()

    @router.get("/docs", include_in_schema=False)
    def docs(request: Request) -> Response:
        paths = app.openapi()["paths"].items()
        operations = [
            {"path": path, "method": method.upper(), **told} for path, one in paths for method, told in one.items()
        ]
        return pages.render(request, "api.html", operations=operations)

    if judge is not None:
        _add_predicting(router, judge)
    return router


def _add_predicting(router: APIRouter, judge: Judges) -> None:
    """Let pictures be judged, by whom the application's guard found to have the right."""
    turn = asyncio.Semaphore(1)  # a picture takes memory, and the line's own parts go first
    places = asyncio.Semaphore(BODIES)
    body = {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in PICTURES}}

    @router.post(
        "/predict",
        dependencies=[Depends(no_misspelt_keys)],
        summary="Judge a picture with the model in use and answer with the event; stores, counts and publishes nothing",
        openapi_extra={"requestBody": {**body, "required": True}},
    )
    async def predict(
        request: Request,
        camera: Annotated[
            str | None, Query(description="Whose region, exposure and thresholds count; needed where there are several")
        ] = None,
        recipe: Annotated[
            str | None,
            Query(
                max_length=256,
                description="Whose bundle judges, as for a trigger: an unknown one gives NotDecidable, no_recipe; left "
                "out: the recipe of the camera's job",
            ),
        ] = None,
    ) -> Response:
        async with places:
            data = await read_body(request, LARGEST_BYTES)
            async with turn:
                try:
                    event = await run_in_threadpool(judge.predict, data, camera, recipe)
                except PictureFault as fault:
                    raise HTTPException(422, f"the picture cannot be judged: {fault}") from fault
                except LookupError as error:
                    raise HTTPException(404, str(error.args[0])) from error
                except BusyError as error:
                    raise HTTPException(503, str(error), {"Retry-After": "5"}) from error
        return Response(event, media_type="application/json")
