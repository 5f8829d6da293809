"""The live view: one web page on the box, with metrics and health beside it (FastAPI and uvicorn, in a thread).

It only looks: nothing can be changed through it, but for marks where a token gives the right. Pictures are drawn when
somebody asks, never by the judging thread.
"""

import importlib.util
import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prometheus_client import generate_latest

from core.errors import ConfigError
from core.timestamps import rfc3339
from runtime.evidence.overlay import draw, jpeg
from runtime.monitoring.health import StationStatus, why_not_ready, why_unhealthy
from runtime.monitoring.live_view import LiveView
from runtime.monitoring.prometheus import StatusCollector
from runtime.parts.verdict import Verdict
from runtime.threads.worker import Worker
from runtime.view.access import require_token
from runtime.view.connections import bounded_protocol
from runtime.view.marking import MarksCollector, TakesMarks, add_marking, told_as_json
from runtime.view.settings import LOCAL_HOSTS, ViewSettings

if TYPE_CHECKING:
    from fastapi import FastAPI, Response

log = logging.getLogger(__name__)
PAGE = Path(__file__).with_name("view.html")


@contextmanager
def viewing(
    settings: ViewSettings, display: LiveView, look: Callable[[], StationStatus], reviews: TakesMarks | None = None
) -> Iterator[None]:
    """Serve the page while the context lasts; `look` looks at the station, and never waits. Raises as `serving`."""
    require_packages()
    with serving(settings, page(settings, display, look, reviews)):
        yield


@contextmanager
def serving(settings: ViewSettings, app: "FastAPI") -> Iterator[None]:
    """Serve `app` on a thread while the context lasts. Raises ConfigError where the port is taken."""
    import uvicorn

    listener = listen(settings)
    config = uvicorn.Config(
        app,
        http=bounded_protocol(),
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = Worker("view", partial(server.run, sockets=[listener]))
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(0.5)
        listener.close()
        if thread.fault is not None:
            log.error("the page ended reason=%r remedy=%r", str(thread.fault), "restart; judging went on without it")


def require_packages() -> None:
    """Raises ConfigError where the packages of the extra `view` are missing."""
    if not all(importlib.util.find_spec(package) for package in ("fastapi", "uvicorn")):
        raise ConfigError("view: its packages are missing; pip install '.[view]', or leave `view` out.")


def page(
    settings: ViewSettings, display: LiveView, look: Callable[[], StationStatus], reviews: TakesMarks | None = None
) -> "FastAPI":
    """Build the application; without `reviews` nothing can be marked. Raises ConfigError where a token is not there."""
    from fastapi import Response

    app = guarded_app(settings)
    display.registry.register(StatusCollector(look))
    if reviews is not None:
        display.registry.register(MarksCollector(reviews))
        add_marking(app, reviews)

    @app.get("/")
    def index() -> Response:
        return Response(PAGE.read_bytes(), media_type="text/html; charset=utf-8")

    @app.get("/state.json")
    def state() -> dict[str, Any]:
        return _state(look(), display, told_as_json(reviews))

    @app.get("/camera/{camera}/{which}/{kind}.jpg")
    def picture(camera: str, which: Literal["last", "rejected"], kind: Literal["map", "plain"]) -> Response:
        seen = display.views.get(camera)
        shown = getattr(seen, which, None)
        if shown is None or shown.pixels_bgr_u8 is None:
            return Response("no picture\n", 404, media_type="text/plain")
        drawn = draw(shown.pixels_bgr_u8, shown) if kind == "map" else shown.pixels_bgr_u8
        return Response(jpeg(drawn), media_type="image/jpeg")

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


def guarded_app(settings: ViewSettings) -> "FastAPI":
    """Build an application that only those see who may. Raises ConfigError where the token cannot be read."""
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if settings.is_local:
        # Another site's page must not read this one through a name that it points at 127.0.0.1.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOCAL_HOSTS, "[::1]"])
    app.middleware("http")(require_token(settings.token(), settings.mark_token()))
    return app


def listen(settings: ViewSettings) -> socket.socket:
    """Take the address. Raises ConfigError where it is taken, or not this machine's."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise ConfigError(f"view: cannot listen on {where} ({error.strerror}); set another `view.port`.") from error
    return listener


def _health(problems: list[str]) -> "Response":
    from fastapi import Response

    return Response("\n".join(problems or ["ok"]) + "\n", 503 if problems else 200, media_type="text/plain")


def _state(found: StationStatus, display: LiveView, told: Mapping[str, Any]) -> dict[str, Any]:
    """All that the page shows, but the pictures."""
    origin, link = found.origin, found.delivery.link
    return {
        "station": found.prefix,
        "simulated": origin.simulated,
        "now": rfc3339(time.time()),
        "boot_id": origin.boot_id,
        "model": {"name": origin.manifest.name, "created": origin.manifest.created, "backend": origin.backend},
        "broker": {"state": str(link.state), "reason": link.reason},
        "outbox": found.delivery.waiting,
        "evidence": asdict(found.evidence) if found.evidence else None,
        "problems": why_not_ready(found),
        "cameras": {
            name: {
                "state": camera.state,
                "ok": camera.verdicts.get(Verdict.OK, 0),
                "not_ok": camera.verdicts.get(Verdict.NOT_OK, 0),
                "not_decidable": camera.verdicts.get(Verdict.NOT_DECIDABLE, 0),
                "told": told.get(name),
                **_camera_view(display, name),
            }
            for name, camera in found.cameras.items()
        },
    }


def _camera_view(display: LiveView, camera: str) -> dict[str, Any]:
    with display.lock:
        seen = display.views[camera]
        judgement, trend = seen.judgement, seen.trend
        return {
            "verdict": judgement.verdict.word if judgement else None,
            "reasons": [str(reason) for reason in judgement.reasons] if judgement else [],
            "margin": judgement.margin if judgement else None,
            "captured_at": rfc3339(seen.judged_at_s) if seen.judged_at_s is not None else None,
            "last": _caption(seen.last),
            "rejected": _caption(seen.rejected),
            "trend": [[int(verdict), None if m is None else round(m, 4)] for verdict, m in trend.shown],
            "usual": trend.usual,
            "drifts": trend.drifts,
        }


def _caption(shown: Any) -> dict[str, Any] | None:
    if shown is None:
        return None
    return {
        "id": shown.event_id,
        "captured_at": rfc3339(shown.captured_at_s),
        "verdict": shown.judgement.verdict.word,
        "margin": shown.judgement.margin,
        "reasons": [str(reason) for reason in shown.judgement.reasons],
    }
