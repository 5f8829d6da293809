"""The page of a collection: how many pictures there are of each stream, and the newest of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.collecting.collection import Collection
from runtime.view.settings import ViewSettings
from runtime.view.web_page import guarded_app

if TYPE_CHECKING:
    from fastapi import FastAPI

PAGE = Path(__file__).with_name("collecting.html")
LONGEST_SIDE = 960
"""Pixels of the pictures on the page."""


def page(settings: ViewSettings, station: str, collection: Collection) -> "FastAPI":
    """Build the application, for the station's own name. Raises ConfigError where the token cannot be read."""
    from fastapi import Response

    from runtime.view.pictures import as_jpeg, no_wider

    app = guarded_app(settings)

    @app.get("/")
    def index() -> Response:
        return Response(PAGE.read_bytes(), media_type="text/html; charset=utf-8")

    @app.get("/state.json")
    def state() -> dict[str, Any]:
        streams = collection.streams.items()
        return {
            "station": station,
            "streams": {
                name: {"kept": each.kept, "wanted": each.wanted, "left_out": dict(each.left_out)}
                for name, each in streams
            },
        }

    @app.get("/camera/{stream}/last.jpg")
    def last(stream: str) -> Response:
        seen = collection.streams.get(stream)
        pixels = None if seen is None else seen.last
        if pixels is None:
            return Response("no picture yet\n", 404, media_type="text/plain")
        height, width = pixels.shape[:2]
        return as_jpeg(no_wider(pixels, max(1, LONGEST_SIDE * width // max(height, width))), {})

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", media_type="text/plain")

    return app
