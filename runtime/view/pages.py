"""The pages of a station, with metrics and health beside them.

They only look: nothing can be changed through them, except for marks where a token gives the right. Pictures are drawn
when somebody asks, never by the judging thread.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime.monitoring.health import StationStatus
from runtime.monitoring.live_view import LiveView
from runtime.view.desk import Judges, TakesMarks
from runtime.view.past import Past
from runtime.view.settings import ViewSettings
from runtime.view.web_page import guarded_app, require_packages
from runtime.view.words import load_words

if TYPE_CHECKING:
    from fastapi import FastAPI


def page(
    settings: ViewSettings,
    display: LiveView,
    look: Callable[[], StationStatus],
    past: Past | None,
    reviews: TakesMarks | None = None,
    judge: Judges | None = None,
) -> "FastAPI":
    """Build the application; `look` looks at the station, and never waits.

    `past` is None where no history is kept; without `reviews` nothing can be marked, without `judge` no pictures are
    judged. Raises ConfigError where the packages are missing, the token or a file of words cannot be read.
    """
    require_packages()
    from runtime.view.api import api_router
    from runtime.view.live_page import live_router
    from runtime.view.looking_back import history_router, no_history_router
    from runtime.view.monitors import monitors_router
    from runtime.view.rendering import Pages

    app = guarded_app(settings)
    found = look()
    pages = Pages(load_words(settings.words_folder), found.origin.station)
    app.include_router(pages.router())
    app.include_router(api_router(app, judge, reviews, pages))
    app.include_router(monitors_router(display, look, reviews))
    app.include_router(live_router(display, look, past, pages, reviews))
    app.include_router(history_router(past, pages, [*found.cameras]) if past else no_history_router(pages))
    return app
