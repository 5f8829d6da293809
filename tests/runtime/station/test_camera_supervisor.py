"""Live cameras in the whole runtime: what the MES is told of them, and of the parts before them."""

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from core.timestamps import rfc3339
from tests.runtime.broker import Mosquitto
from tests.runtime.command import run_command, write_config
from tests.runtime.contract import check
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import good_picture, write_pictures
from tests.runtime.servers import FRAME, MjpegServer, RtspServer
from tests.runtime.waiting import WAIT_S, wait_until

PREFIX = "pwae/site/area/line/test-1"


class Station:
    """A `run-inspection` on live cameras, and an MES that hears it."""

    def __init__(self, folder: Path, bundle: Path, broker: Mosquitto, mes: Subscriber) -> None:
        self._folder, self._bundle, self._broker, self.mes = folder, bundle, broker, mes
        self.process: subprocess.Popen[str] | None = None

    def start(self, **cameras: Any) -> None:
        broker = {"host": "127.0.0.1", "port": self._broker.port}
        self.process = run_command(write_config(self._folder, self._bundle, cameras, broker=broker))

    def stop(self) -> float:
        """Returns how long it took, in s."""
        assert self.process is not None
        started_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _out, err = self.process.communicate(timeout=WAIT_S)
        took_s = time.monotonic() - started_s
        assert self.process.returncode == 0, err
        assert "Traceback" not in err
        return took_s

    def verdicts(self, camera: str) -> list[str]:
        return [event["verdict"]["name"] for event in self.mes.events() if event["camera"] == camera]

    def states(self, camera: str) -> list[str]:
        return [status["state"] for status in self.mes.events(f"camera/{camera}/status")]


@pytest.fixture
def station(tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber) -> Iterator[Station]:
    station = Station(tmp_path, bundle_path, mosquitto, mes)
    yield station
    if station.process is not None and station.process.poll() is None:
        station.process.kill()
        station.process.communicate()
    for message in mes.messages:
        if "/trigger/" in message.topic:
            continue
        check(message)


def test_a_live_camera_is_judged_its_stall_is_told_and_the_station_stops_all_the_same(
    station: Station, mosquitto: Mosquitto, rtsp: RtspServer
) -> None:
    station.start(top={"kind": "rtsp", "url": rtsp.url, "stale_after_s": 1, "timeout_s": 60, "max_fps": 10})
    station.mes.wait_for(lambda: station.verdicts("top").count("OK") >= 5)
    rtsp.send(signal.SIGSTOP)
    station.mes.wait_for(lambda: "stalled" in station.states("top"))
    station.mes.wait_for(lambda: station.verdicts("top")[-1] == "NotDecidable")
    assert station.mes.events()[-1]["verdict"]["reason"] == ["no_frame"]
    assert station.stop() < 2
    last = json.loads(mosquitto.retained(f"{PREFIX}/camera/top/status").payload)
    assert last["state"] == "stopped"
    assert last["last_frame_time"] is not None
    seqs = [event["seq"] for event in station.mes.events()]
    assert seqs == list(range(1, len(seqs) + 1))


def test_a_dead_camera_gives_no_ok_and_holds_up_no_other(station: Station, mjpeg: MjpegServer) -> None:
    station.start(
        dead={"kind": "rtsp", "url": "rtsp://127.0.0.1:9/none", "stale_after_s": 0.5},
        live={"kind": "http", "url": mjpeg.url},
    )
    station.mes.wait_for(lambda: station.verdicts("live").count("OK") >= 20 and bool(station.verdicts("dead")))
    assert station.verdicts("dead") == ["NotDecidable"]
    assert set(station.states("dead")) == {"reconnecting"}
    assert station.stop() < 2


def test_a_camera_that_answers_nothing_does_not_keep_the_station_from_stopping(station: Station) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"rtsp://127.0.0.1:{mute.getsockname()[1]}/film"
        station.start(top={"kind": "rtsp", "url": url, "timeout_s": 60, "stale_after_s": 0.5})
        station.mes.wait_for(lambda: station.verdicts("top") == ["NotDecidable"])
        assert station.stop() < 2


def test_each_camera_has_its_own_region_rate_trigger_and_thresholds(
    station: Station, tmp_path: Path, mjpeg: MjpegServer
) -> None:
    large = (240, 320)
    picture = good_picture(1, large)
    picture[:120] = 0
    (tmp_path / "large").mkdir()
    for number in range(50):
        assert cv2.imwrite(str(tmp_path / "large" / f"{number}.png"), picture)
    live = {"kind": "http", "url": mjpeg.url}
    station.start(
        strict={**live, "threshold_factor": 0.001},
        slow={**live, "max_fps": 2},
        told={**live, "trigger": {"tolerance_ms": 500}},
        large={"kind": "folder", "path": str(tmp_path / "large"), "roi": [0, 120, 320, 120], "max_fps": 20},
    )
    station.mes.wait_for(lambda: "streaming" in station.states("told") and len(station.verdicts("slow")) >= 4)
    station.mes.send(f"{PREFIX}/trigger/told", b'{"part_id": "4711"}')
    station.mes.wait_for(lambda: bool(station.verdicts("told")))
    station.stop()
    assert set(station.verdicts("strict")) == {"NotOK"}
    assert set(station.verdicts("slow")) == set(station.verdicts("large")) == {"OK"}
    assert len(station.verdicts("slow")) < len(station.verdicts("strict")) / 3
    assert station.verdicts("told") == ["OK"]
    sizes = {(event["camera"], event["frame"]["width"]) for event in station.mes.events()}
    assert sizes == {("strict", 96), ("slow", 96), ("told", 96), ("large", 320)}


def test_nothing_is_left_open_when_cameras_and_broker_come_and_go(
    station: Station, mosquitto: Mosquitto, mjpeg: MjpegServer
) -> None:
    station.start(top={"kind": "http", "url": mjpeg.url, "max_fps": 20})
    assert station.process is not None
    handles = Path(f"/proc/{station.process.pid}/fd")
    found = []
    for number in range(4):
        before = len(station.verdicts("top"))
        station.mes.wait_for(lambda before=before: len(station.verdicts("top")) >= before + 5)  # type: ignore[misc]
        found.append(len(list(handles.iterdir())))
        mjpeg.hang_up.set()
        station.mes.wait_for(lambda number=number: station.states("top").count("reconnecting") > number)  # type: ignore[misc]
        mjpeg.hang_up.clear()
        mosquitto.stop()
        mosquitto.start()
    assert found[-1] <= found[0], found
    assert station.stop() < 2


def test_regions_are_told_of_as_cameras_of_their_own(station: Station, mjpeg: MjpegServer) -> None:
    regions = {"left": [0, 0, 48, 96], "right": [48, 0, 48, 96]}
    mjpeg.picture = good_picture(1, FRAME)
    mjpeg.picture[:, 48:] = 0
    station.start(top={"kind": "http", "url": mjpeg.url, "regions": regions, "frozen_after": None})
    station.mes.wait_for(lambda: len(station.verdicts("top-left")) >= 5 and len(station.verdicts("top-right")) >= 5)
    station.stop()
    assert set(station.verdicts("top-left")) == {"OK"}
    assert set(station.verdicts("top-right")) == {"NotDecidable"}
    for camera in ("top-left", "top-right"):
        seqs = [event["seq"] for event in station.mes.events() if event["camera"] == camera]
        assert seqs == list(range(1, len(seqs) + 1))


def test_each_triggered_part_gets_one_event_and_malformed_triggers_are_counted(
    station: Station, mjpeg: MjpegServer
) -> None:
    station.start(top={"kind": "http", "url": mjpeg.url, "trigger": {"tolerance_ms": 200}, "stale_after_s": 60})
    station.mes.wait_for(lambda: "streaming" in station.states("top"))
    topic = f"{PREFIX}/trigger/top"
    for number in range(20):
        station.mes.send(topic, json.dumps({"part_id": f"part-{number}", "job_id": "j", "id": str(number)}).encode())
    for malformed in (
        b"",
        b"{",
        b"{}",
        b'{"part_id": 7.5, "id": 9}',
        b"\xff\x00",
        b'{"part_id": "a", "time": "yesterday"}',
    ):
        station.mes.send(topic, malformed)
    station.mes.send(topic, json.dumps({"part_id": "early", "time": rfc3339(time.time() - 60)}).encode())
    station.mes.wait_for(lambda: len(station.mes.events()) >= 21)
    station.mes.wait_for(lambda: station.mes.events("top/status")[-1]["triggers_refused"] == 6)
    station.mes.wait_for(lambda: len(station.mes.events("top/trigger_refused")) == 6)
    answers = station.mes.events("top/trigger_refused")
    assert [(each["part_id"], each["id"]) for each in answers] == [(None, None)] * 3 + [
        (None, "9"),
        (None, None),
        ("a", None),
    ]
    assert all(each["reason"] for each in answers)
    station.stop()
    events = {event["part_id"]: event for event in station.mes.events()}
    assert len(station.mes.events()) == len(events) == 21
    for number in range(20):
        event = events[f"part-{number}"]
        assert (event["verdict"]["name"], event["job_id"], event["recipe"]) == ("OK", "j", None)
        assert event["trigger"] == {"kind": "mqtt", "id": str(number)}
    assert events["early"]["verdict"] == {"code": 3, "name": "NotDecidable", "reason": ["no_frame"]}


def test_a_watched_folder_is_judged_whole_and_once_also_over_a_restart(station: Station, tmp_path: Path) -> None:
    inbox, done, source = tmp_path / "in", tmp_path / "done", write_pictures(tmp_path / "source", 6)
    inbox.mkdir()
    shutil.copy(source / "00000.png", inbox)
    camera = {"kind": "watch", "path": str(inbox), "move_to": str(done)}
    station.start(top=camera)
    station.mes.wait_for(lambda: len(station.mes.events()) == 1)
    whole = (source / "00001.png").read_bytes()
    with (inbox / "00001.png").open("wb") as slow:
        slow.write(whole[: len(whole) // 2])
        slow.flush()
        shutil.copy(source / "00003.png", inbox)  # when it is judged, the half one was looked at
        station.mes.wait_for(lambda: len(station.mes.events()) == 2)
        slow.write(whole[len(whole) // 2 :])
    (inbox / "broken.png").write_bytes(b"never whole")
    station.mes.wait_for(lambda: len(station.mes.events()) == 4)
    wait_until(lambda: not list(inbox.iterdir()))
    assert station.stop() < 2
    shutil.copy(source / "00002.png", inbox)
    station.start(top=camera)
    station.mes.wait_for(lambda: len(station.mes.events()) == 5)
    station.stop()
    wait_until(lambda: not list(inbox.iterdir()))  # what was judged last, the folder's own thread moves as it ends
    told = [(event["frame"]["source"], event["verdict"]["name"]) for event in station.mes.events()]
    assert told == [
        ("00000.png", "OK"),
        ("00003.png", "OK"),
        ("00001.png", "OK"),
        ("broken.png", "NotDecidable"),
        ("00002.png", "OK"),
    ]
    assert cv2.imread(str(done / "00002.png")) is not None
