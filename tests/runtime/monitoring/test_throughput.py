"""The pulse: figures of the time since the last beat."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from runtime.monitoring.throughput import MOST, Throughput, percentiles
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import NewEvent
from runtime.outbox.settings import OutboxSettings
from runtime.parts.verdict import Verdict


def test_a_beat_tells_of_the_time_since_the_last(tmp_path: Path) -> None:
    now_s = [100.0]
    pulse = Throughput(["top", "idle"], 10.0, clock=lambda: now_s[0])
    box = Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))
    box.add([NewEvent("t", "top", Verdict.OK, b"{}")])
    for took_ms in range(1, 101):
        pulse.judged("top", float(took_ms))
    now_s[0] += 9.9
    assert not pulse.is_due
    now_s[0] += 10.1
    assert pulse.is_due
    told = json.loads(pulse.beat(3, box, 7, [2.0]))
    assert (told["interval_s"], told["fps"], told["frames_waiting"]) == (20.0, {"top": 5.0, "idle": 0.0}, 3)
    assert told["capture_to_event_ms"] == pytest.approx({"p50": 50.5, "p95": 95.05, "p99": 99.01})
    assert told["event_to_acknowledgement_ms"] == {"p50": 2.0, "p95": 2.0, "p99": 2.0}
    assert told["outbox"] == {"waiting": 1, "bytes": 2, "discarded": 7}
    assert not pulse.is_due
    now_s[0] += 10
    again = json.loads(pulse.beat(0, box, 7, []))
    assert (again["fps"], again["capture_to_event_ms"]) == ({"top": 0.0, "idle": 0.0}, None)
    box.close()


def test_between_two_beats_that_lie_far_apart_all_are_counted_and_the_newest_are_timed(tmp_path: Path) -> None:
    now_s = [0.0]
    pulse = Throughput(["top"], 1e6, clock=lambda: now_s[0])
    for took_ms in (*[1.0] * MOST, *[9.0] * MOST):
        pulse.judged("top", took_ms)
    now_s[0] += 100
    with closing(Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))) as box:
        told = json.loads(pulse.beat(0, box, 0, []))
    assert told["fps"] == {"top": 2 * MOST / 100}
    assert told["capture_to_event_ms"]["p50"] == 9.0


def test_nothing_has_no_percentiles() -> None:
    assert percentiles([]) is None
