"""What is not judging shows: on the status topic, /readyz, the metrics and the page, and in the log."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import at, run_command, write_config
from tests.runtime.contract import PREFIX
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.servers import MjpegServer
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.web import ask, is_up, metric, state

STALE_S = 0.5


class Station:
    """A live camera and a watched folder, with a page."""

    def __init__(self, folder: Path, bundle: Path, broker: Mosquitto, camera: str, mes: Subscriber) -> None:
        self.inbox = write_pictures(folder / "inbox", 1)
        self.mes = mes
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        live = {"kind": "http", "url": camera, "stale_after_s": STALE_S, "regions": REGIONS}
        config = write_config(
            *(folder, bundle, {"live": live, "in": {"kind": "watch", "path": str(self.inbox)}}),
            broker=at(broker.port),
            view={"port": port},
            commands=["pause", "resume"],
        )
        self.process = run_command(config)
        wait_until(lambda: is_up(self.address) and self.problems() == [])
        mes.wait_for(lambda: len(self.verdicts("live-left")) > 3)

    def problems(self) -> list[str]:
        code, body = ask(f"{self.address}/readyz")
        return [] if code == 200 else body.decode().splitlines()

    def reason(self) -> str:
        return str(self.mes.events("test-1/status")[-1]["reason"])

    def verdicts(self, camera: str) -> list[str]:
        return [event["verdict"]["name"] for event in self.mes.events() if event["camera"] == camera]

    def command(self, verb: str) -> None:
        before = len(self.mes.events("/cmd_reply"))
        self.mes.send(f"{PREFIX}/cmd/{verb}", json.dumps({"request_id": verb, "by": "Ada"}).encode())
        self.mes.wait_for(lambda: len(self.mes.events("/cmd_reply")) > before)

    def end(self) -> str:
        self.process.terminate()
        _out, err = self.process.communicate(timeout=WAIT_S)
        assert self.process.returncode == 0, err
        return err


REGIONS = {"left": [0, 0, 48, 96], "right": [48, 0, 48, 96]}


@pytest.fixture
def station(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mjpeg: MjpegServer, mes: Subscriber
) -> Iterator[Station]:
    station = Station(tmp_path, bundle_path, mosquitto, mjpeg.url, mes)
    yield station
    station.process.kill()


def test_a_pause_shows_and_after_it_nothing_is_called_stale(station: Station) -> None:
    station.command("pause")
    wait_until(lambda: station.problems() == ["paused by Ada"])
    station.mes.wait_for(lambda: station.reason() == "paused by Ada")
    assert metric(station.address, "pwae_paused") == 1
    assert metric(station.address, "pwae_ready") == 0
    wait_until(lambda: station.problems() == state(station.address)["problems"])
    seen = len(station.mes.events())
    wait_until(lambda: metric(station.address, 'pwae_frames_dropped_total{camera="live"}') > 30 * STALE_S)
    assert len(station.mes.events()) <= seen + 2  # which were on their way
    station.command("resume")
    wait_until(lambda: station.problems() == [])
    station.mes.wait_for(lambda: station.reason() == "")
    station.mes.wait_for(lambda: len(station.mes.events()) > seen + 10)
    assert {event["verdict"]["name"] for event in station.mes.events()[seen:]} == {"OK"}
    assert "paused by Ada" in station.end()


def test_a_watched_folder_that_is_gone_or_holds_a_pipe_shows(station: Station) -> None:
    station.inbox.rename(station.inbox.with_name("away"))
    wait_until(lambda: any("camera in is stalled" in problem for problem in station.problems()))
    station.mes.wait_for(lambda: "camera in is stalled" in station.reason())
    assert metric(station.address, 'pwae_camera_streaming{camera="in",state="stalled"}') == 0
    station.mes.wait_for(lambda: station.mes.events("camera/in/status")[-1]["state"] == "stalled")
    station.inbox.with_name("away").rename(station.inbox)
    wait_until(lambda: station.problems() == [])
    os.mkfifo(station.inbox / "pipe.png")
    wait_until(lambda: any("pipe.png is no file" in problem for problem in station.problems()))
    assert station.verdicts("in") == ["OK"]
    log = station.end()
    assert "No such file or directory" in log
    assert "pipe.png is no file" in log


def test_an_outbox_whose_file_somebody_moved_shows_until_it_is_back(station: Station, tmp_path: Path) -> None:
    outbox = next(tmp_path.glob("*.sqlite"))
    outbox.rename(tmp_path / "backup")
    wait_until(lambda: any("outbox.sqlite was moved or removed" in problem for problem in station.problems()))
    station.mes.wait_for(lambda: "what waits is sent as long as it runs" in station.reason())
    (tmp_path / "backup").rename(outbox)
    wait_until(lambda: station.problems() == [])
    station.mes.wait_for(lambda: station.reason() == "")
    assert station.end().count("its file was moved or removed") == 1
