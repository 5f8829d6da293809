"""Fixtures: real parts for the runtime's tests."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.broker import Mosquitto
from tests.runtime.conveyor import Line
from tests.runtime.gige import KINDS, FactoryCamera, sole_use
from tests.runtime.mes import Subscriber
from tests.runtime.servers import MjpegServer, RtspServer, write_h264
from tests.runtime.small_bundle import write_bundle
from tests.runtime.watcher import Watcher


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "even-grey")


@pytest.fixture
def finish_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """`run-inspection` in this process, for what is refused before it runs: as `finish`, without a second's start."""
    from core import cli
    from runtime.cli import app

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["run-inspection", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.run(app)
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def mes(mosquitto: Mosquitto) -> Iterator[Subscriber]:
    subscriber = Subscriber(mosquitto.port)
    yield subscriber
    subscriber.close()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    write_h264(folder / "film.mp4", seconds=4)
    return folder


@pytest.fixture
def rtsp(film: Path) -> Iterator[RtspServer]:
    server = RtspServer(film)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def mjpeg() -> Iterator[MjpegServer]:
    server = MjpegServer()
    yield server
    server.close()


@pytest.fixture
def watch() -> Iterator[Callable[..., Watcher]]:
    watchers: list[Watcher] = []

    def start(*what: Any) -> Watcher:
        watchers.append(Watcher(*what))
        return watchers[-1]

    yield start
    for watcher in watchers:
        watcher.stop()


@pytest.fixture(params=KINDS)
def factory_camera(request: pytest.FixtureRequest) -> Iterator[FactoryCamera]:
    """Each of two makers' GigE Vision cameras, on and free-running."""
    with sole_use(), FactoryCamera(request.param) as camera:
        yield camera


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    started: list[Line] = []
    yield started
    for line in started:
        line.watcher.stop()
