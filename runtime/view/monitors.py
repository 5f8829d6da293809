"""What monitors ask for: metrics, and whether the station is well. Health is told without a token."""

from collections.abc import Callable

from fastapi import APIRouter, Response
from prometheus_client import generate_latest

from runtime.monitoring.health import StationStatus, why_not_ready, why_unhealthy
from runtime.monitoring.live_view import LiveView
from runtime.monitoring.prometheus import StatusCollector
from runtime.view.desk import TakesMarks
from runtime.view.marking import MarksCollector


def monitors_router(display: LiveView, look: Callable[[], StationStatus], reviews: TakesMarks | None) -> APIRouter:
    """Give `/metrics`, `/healthz` and `/readyz`; `look` looks at the station."""
    router = APIRouter()
    display.registry.register(StatusCollector(look))
    if reviews is not None:
        display.registry.register(MarksCollector(reviews))

    @router.get("/metrics", summary="For Prometheus")
    def metrics() -> Response:
        return Response(generate_latest(display.registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/healthz", summary="Whether the process does its work; 503 with the reasons if a restart helps")
    def healthz() -> Response:
        return _health(why_unhealthy(look()))

    @router.get("/readyz", summary="Whether parts are judged and reported; 503 with the reasons if not")
    def readyz() -> Response:
        return _health(why_not_ready(look()))

    return router


def _health(problems: list[str]) -> Response:
    return Response("\n".join(problems or ["ok"]) + "\n", 503 if problems else 200, media_type="text/plain")
