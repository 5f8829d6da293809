"""Metrics: a survey in Prometheus' words."""

from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest

from runtime.delivery.link import Link, LinkState
from runtime.monitoring.health import CameraHealth, DeliveryHealth
from runtime.monitoring.prometheus import StatusCollector
from runtime.parts.verdict import Verdict
from tests.runtime.monitoring.test_health import WELL


def test_a_survey_is_told_in_full() -> None:
    found = replace(
        WELL,
        cameras={
            "belt": CameraHealth("stalled", {Verdict.OK: 5}, 2, drifts=True, late=6, unlike="are squeezed"),
            "in": CameraHealth("streaming", {}, 0, drifts=False, reason="judged pictures cannot be moved"),
        },
        plc_left_out=7,
        dropped={"belt": 3},
        delivery=DeliveryHealth(Link(LinkState.REFUSED, 0.0), 4, 100),
    )
    registry = CollectorRegistry()
    registry.register(StatusCollector(lambda: found))
    lines = generate_latest(registry).decode().splitlines()
    for line in (
        'pwae_parts_total{camera="belt",verdict="OK"} 5.0',
        'pwae_discarded_total{camera="belt"} 2.0',
        'pwae_frames_dropped_total{camera="belt"} 3.0',
        'pwae_camera_streaming{camera="belt",state="stalled"} 0.0',
        'pwae_drift{camera="belt"} 1.0',
        'pwae_unlike{camera="belt"} 1.0',
        'pwae_camera_warns{camera="belt"} 0.0',
        'pwae_camera_warns{camera="in"} 1.0',
        'pwae_verdicts_late_total{camera="belt"} 6.0',
        "pwae_plc_left_out_total 7.0",
        "pwae_broker_connected 0.0",
        "pwae_outbox_events 4.0",
        "pwae_ready 0.0",
    ):
        assert line in lines
