"""Fixtures: real parts for the runtime's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.broker import Mosquitto
from tests.runtime.mes import Subscriber
from tests.runtime.servers import MjpegServer, RtspServer, write_h264
from tests.runtime.small_bundle import write_bundle


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "even-grey")


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Mosquitto(folder)
    broker.start()
    yield broker
    broker.stop()


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
