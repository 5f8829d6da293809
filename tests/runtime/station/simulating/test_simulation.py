"""The simulation: what an MES side can be built against before the camera hangs."""

import json
import threading
from collections import Counter
from pathlib import Path

import numpy as np

from runtime.parts.verdict import Verdict, judge
from runtime.station.simulating.scenario import NOT_OK_SHARE
from runtime.station.simulating.simulated_backend import SimulatedBackend, invented_manifest
from runtime.station.simulating.simulated_camera import SimulatedCamera
from tests.runtime.broker import Mosquitto
from tests.runtime.command import run_command, write_config
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S


def test_it_publishes_marked_events_without_bundle_or_cameras(
    tmp_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    cameras = {name: {"kind": "folder", "path": "not-yet-there"} for name in ("top", "side")}
    config = write_config(
        tmp_path, tmp_path / "no-bundle", cameras, broker={"host": "127.0.0.1", "port": mosquitto.port}
    )
    process = run_command("simulate", str(config), "--rate", "200", "--parts", "40", folder=tmp_path)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    mes.wait_for(lambda: len(mes.events()) >= 80)
    assert {event["simulated"] for event in mes.events()} == {True}
    for camera in cameras:
        assert [event["seq"] for event in mes.events() if event["camera"] == camera] == list(range(1, 41))
    status = json.loads(mosquitto.retained("pwae/site/area/line/test-1/status").payload)
    assert (status["state"], status["simulated"]) == ("offline", True)
    assert "events acknowledged" in out


def test_its_verdicts_are_mixed_as_on_a_real_line() -> None:
    thresholds = invented_manifest().thresholds
    backend = SimulatedBackend(thresholds, 1000, seed=1)
    errors = backend.submit(backend.new_batch()).errors()
    verdicts = Counter(judge(row, thresholds).verdict for row in errors)
    assert verdicts.keys() == {Verdict.OK, Verdict.NOT_OK}
    assert abs(verdicts[Verdict.NOT_OK] / 1000 - NOT_OK_SHARE) < 0.03
    black = [
        not frame.pixels_u8.any()
        for frame in SimulatedCamera(1000, 1).frames(threading.Event())
        if frame.pixels_u8 is not None
    ]
    assert 0 < np.mean(black) < 0.05
