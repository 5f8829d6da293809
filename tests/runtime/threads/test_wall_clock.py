"""The wall clock, set while an inspection runs: told, and nothing else comes of it."""

import logging
import time
from pathlib import Path

import pytest

from core.stop import Stop
from runtime.settings import InspectionSettings
from runtime.station.simulating.simulation import open_simulation
from runtime.threads.wall_clock import WallClock
from tests.runtime.contract import check
from tests.runtime.mes import Subscriber


def test_a_clock_that_is_set_is_told_once_and_one_that_is_kept_right_is_not() -> None:
    wall_s, steady_s = 1000.0, 50.0
    clock = WallClock(wall_s, steady_s)
    found = []
    for wall_by_s in (0.1, 0.3, -3600.0, 0.1, 7200.0):
        wall_s, steady_s = wall_s + wall_by_s, steady_s + 0.1
        found.append(round(clock.look(wall_s, steady_s)))
    assert found == [0, 0, -3600, 0, 7200]


@pytest.mark.parametrize("set_by_s", [-86_400.0, 3600.0])
def test_an_inspection_goes_on_when_the_clock_is_set(
    tmp_path: Path, mes: Subscriber, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, set_by_s: float
) -> None:
    settings = InspectionSettings.model_validate(
        {
            "bundle": tmp_path / "no-bundle",
            "station": "test-1",
            "cameras": {"top": {"kind": "folder", "path": tmp_path}},
            "broker": {"host": "127.0.0.1", "port": mes.port},
            "outbox": {"path": tmp_path / "box.sqlite", "max_age_s": 60},
            "metrics_every_s": 0.1,
        }
    )
    right = time.time
    judged = 0

    def progress(parts: int) -> None:
        nonlocal judged
        judged += parts
        if judged >= 50:
            monkeypatch.setattr(time, "time", lambda: right() + set_by_s)

    with open_simulation(settings, rate_per_s=100, parts=100) as inspection, caplog.at_level(logging.INFO):
        inspection.on_progress = progress
        summary = inspection.run(Stop())
    assert (summary.judged, summary.acknowledged, summary.discarded) == (100, 100, 0)
    mes.wait_for(lambda: len(mes.events()) >= 100)
    assert [event["seq"] for event in mes.events()] == list(range(1, 101))
    assert {check(message) for message in mes.messages} >= {"result", "metrics", "status"}
    (line,) = [record.getMessage() for record in caplog.records if record.name == "runtime.threads.wall_clock"]
    assert f"by_s={set_by_s:+.1f}" in line
