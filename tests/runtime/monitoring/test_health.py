"""Health: what makes a station unhealthy, and what only unready."""

from dataclasses import replace
from typing import Any

import pytest

from runtime.delivery.link import Link, LinkState
from runtime.events.origin import Origin
from runtime.monitoring.health import (
    CameraHealth,
    DeliveryHealth,
    EngineHealth,
    StationStatus,
    why_not_ready,
    why_unhealthy,
)
from runtime.station.simulating.simulated_backend import invented_manifest

WELL = StationStatus(
    prefix="pwae/site/area/line/test-1",
    origins={None: Origin("test-1", "boot-1", "simulated", invented_manifest())},
    cameras={"top": CameraHealth("streaming", {}, 0, drifts=False)},
    dropped={},
    delivery=DeliveryHealth(Link(LinkState.CONNECTED, 0.0), 0, 100),
    engine=EngineHealth(),
    evidence=None,
    dead=(),
    silent_s=0.1,
)


def test_a_station_at_work_is_healthy_and_ready() -> None:
    assert why_unhealthy(WELL) == []
    assert why_not_ready(WELL) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dead": ("camera top",)}, "thread camera top died"),
        ({"silent_s": 99.0}, "stood still for 99 s"),
        ({"engine": EngineHealth("the engine failed: out of memory", 40.0)}, "out of memory (40 s)"),
    ],
)
def test_a_dead_thread_or_one_that_hangs_is_unhealthy(change: dict[str, Any], words: str) -> None:
    (problem,) = why_unhealthy(replace(WELL, **change))
    assert words in problem
    assert problem in why_not_ready(replace(WELL, **change))


def test_an_engine_that_is_opened_again_is_not_ready_but_healthy_for_a_while() -> None:
    found = replace(WELL, engine=EngineHealth("the engine failed: a test", 3.0))
    assert why_unhealthy(found) == []
    assert why_not_ready(found) == ["the engine failed: a test"]


def test_a_camera_that_gives_nothing_is_not_ready_but_healthy() -> None:
    found = replace(WELL, cameras={"top": CameraHealth("reconnecting", {}, 0, drifts=False)})
    assert why_unhealthy(found) == []
    assert why_not_ready(found) == ["camera top is reconnecting"]


def test_a_broker_that_is_away_matters_only_when_the_outbox_fills() -> None:
    away = Link(LinkState.UNREACHABLE, 0.0)
    assert why_not_ready(replace(WELL, delivery=DeliveryHealth(away, 50, 100))) == []
    (problem,) = why_not_ready(replace(WELL, delivery=DeliveryHealth(away, 95, 100)))
    assert "outbox nearly full (95 events)" in problem
