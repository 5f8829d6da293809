"""Metrics: the station's status in Prometheus' words, read when somebody asks."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.delivery.link import LinkState
from runtime.monitoring.gpu_reading import GpuReader
from runtime.monitoring.health import EvidenceHealth, StationStatus, why_not_ready
from runtime.parts.verdict import GIVEN


class StatusCollector(Collector):
    """Gives the metrics of `look()`; histograms are the LiveView's own."""

    def __init__(self, look: Callable[[], StationStatus]) -> None:
        """Look with `look`."""
        self._look = look
        self._gpus = GpuReader()

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client.registry.Collector."""
        found = self._look()
        parts = CounterMetricFamily("pwae_parts", "Judged parts", labels=("camera", "verdict"))
        discarded = CounterMetricFamily("pwae_discarded", "Events given up, outbox full", labels=("camera",))
        dropped = CounterMetricFamily("pwae_frames_dropped", "Gave way to a newer one", labels=("camera",))
        streaming = GaugeMetricFamily("pwae_camera_streaming", "1 while frames come", labels=("camera", "state"))
        drifts = GaugeMetricFamily("pwae_drift", "1 while good parts near the threshold", labels=("camera",))
        unlike = GaugeMetricFamily("pwae_unlike", "1 while of a shape or colour that none trained", labels=("camera",))
        warns = GaugeMetricFamily("pwae_camera_warns", "1 while at work, and to be looked at", labels=("camera",))
        late = CounterMetricFamily("pwae_verdicts_late", "Parts without verdict in time", labels=("camera",))
        for name, camera in found.cameras.items():
            if camera.late is not None:
                late.add_metric((name,), camera.late)
            for verdict in GIVEN:
                parts.add_metric((name, verdict.word), camera.verdicts.get(verdict, 0))
            discarded.add_metric((name,), camera.discarded)
            streaming.add_metric((name, camera.state), camera.state == "streaming")
            drifts.add_metric((name,), camera.drifts)
            unlike.add_metric((name,), bool(camera.unlike))
            warns.add_metric((name,), bool(camera.warning))
        for name, frames in found.dropped.items():
            dropped.add_metric((name,), frames)
        yield from (parts, discarded, dropped, streaming, drifts, unlike, warns, late)
        if found.plc_left_out is not None:
            yield CounterMetricFamily("pwae_plc_left_out", "Verdicts that did not reach the PLC", found.plc_left_out)
        yield GaugeMetricFamily(
            "pwae_broker_connected", "1 while connected", found.delivery.link.state == LinkState.CONNECTED
        )
        yield GaugeMetricFamily("pwae_outbox_events", "Events that wait for the broker", found.delivery.waiting)
        yield GaugeMetricFamily("pwae_paused", "1 while a command holds the judging", bool(found.pause))
        yield GaugeMetricFamily("pwae_engine_away", "1 while the engine is opened again", bool(found.engine.problem))
        kept = found.evidence or EvidenceHealth(0, 0)
        yield CounterMetricFamily("pwae_evidence_written", "Pictures kept", kept.written)
        yield CounterMetricFamily("pwae_evidence_dropped", "Pictures given up", kept.dropped)
        yield from self._gpu_metrics()
        yield GaugeMetricFamily("pwae_ready", "1 while every part is judged and reported", not why_not_ready(found))

    def _gpu_metrics(self) -> Iterator[Metric]:
        readings = self._gpus.read()
        for name, text, values in (
            ("memory_used_bytes", "Of every process", [each.memory_used_bytes for each in readings]),
            ("memory_total_bytes", "Of the GPU", [each.memory_total_bytes for each in readings]),
            ("load", "Share of the time in which it ran something", [each.load for each in readings]),
            ("temperature_celsius", "Of the GPU", [each.temperature_c for each in readings]),
        ):
            family = GaugeMetricFamily(f"pwae_gpu_{name}", text, labels=("gpu", "name"))
            for reading, value in zip(readings, values, strict=True):
                if value is not None:
                    family.add_metric((reading.number, reading.name), value)
            if family.samples:
                yield family
