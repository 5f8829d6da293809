"""The pages of a station, with metrics and health beside them.

They only look: nothing can be changed through them, but for marks where a token gives the right. Pictures are drawn
when somebody asks, never by the judging thread.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import generate_latest

from runtime.monitoring.health import StationStatus, why_not_ready, why_unhealthy
from runtime.monitoring.live_view import LiveView
from runtime.monitoring.prometheus import StatusCollector
from runtime.view.marking import MarksCollector, TakesMarks, add_marking, told_as_json
from runtime.view.past import Past
from runtime.view.settings import ViewSettings
from runtime.view.web_page import guarded_app, require_packages, serving
from runtime.view.words import load_words

if TYPE_CHECKING:
    from fastapi import FastAPI, Response


@contextmanager
def viewing(
    settings: ViewSettings,
    display: LiveView,
    look: Callable[[], StationStatus],
    past: Past | None,
    reviews: TakesMarks | None = None,
) -> Iterator[None]:
    """Serve the page while the context lasts; `look` looks at the station, and never waits.

    `past` is None where no history is kept; without `reviews` nothing can be marked. Raises as `serving` and `page`.
    """
    require_packages()
    with serving(settings, page(settings, display, look, past, reviews)):
        yield


def page(
    settings: ViewSettings,
    display: LiveView,
    look: Callable[[], StationStatus],
    past: Past | None,
    reviews: TakesMarks | None = None,
) -> "FastAPI":
    """Build the application. Raises ConfigError where the token or a file of words cannot be read."""
    from fastapi import Response

    from runtime.view.live_page import live_router
    from runtime.view.looking_back import history_router, no_history_router
    from runtime.view.rendering import Pages

    app = guarded_app(settings)
    display.registry.register(StatusCollector(look))
    if reviews is not None:
        display.registry.register(MarksCollector(reviews))
        add_marking(app, reviews)
    found = look()
    pages = Pages(load_words(settings.words_folder), found.origin.station)
    app.include_router(pages.router())
    app.include_router(live_router(display, look, past, pages, partial(told_as_json, reviews)))
    app.include_router(history_router(past, pages, [*found.cameras]) if past else no_history_router(pages))

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(display.registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/healthz")
    def healthz() -> Response:
        return _health(why_unhealthy(look()))

    @app.get("/readyz")
    def readyz() -> Response:
        return _health(why_not_ready(look()))

    return app


def _health(problems: list[str]) -> "Response":
    from fastapi import Response

    return Response("\n".join(problems or ["ok"]) + "\n", 503 if problems else 200, media_type="text/plain")
