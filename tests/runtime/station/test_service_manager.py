"""systemd's watchdog: over a real socket the station tells that it is up and goes round; a hanging one is silent."""

import configparser
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import ConfigError, RestartError
from runtime.station.service_manager import ServiceManager
from tests.runtime.broker import Mosquitto
from tests.runtime.command import run_command, write_config
from tests.runtime.pictures import write_pictures
from tests.runtime.waiting import WAIT_S

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket on which systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(WAIT_S)
        yield listening


@pytest.mark.parametrize("within", ["", "0", "abc", "-1", "1.5"])
def test_a_watchdog_that_names_no_time_is_not_told(systemd: socket.socket, tmp_path: Path, within: str) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": within})
    manager.alive()
    manager.ready()
    assert systemd.recv(64) == b"READY=1"


def test_a_station_tells_that_it_is_up_and_goes_round(
    systemd: socket.socket, tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    cameras = {"top": {"kind": "watch", "path": str(write_pictures(tmp_path / "pictures", good=2))}}
    config = write_config(tmp_path, bundle_path, cameras, broker={"host": "127.0.0.1", "port": mosquitto.port})
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    process = run_command(config)
    told = [systemd.recv(64) for _ in range(4)]
    process.send_signal(signal.SIGTERM)
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    assert told == [b"READY=1", *[b"WATCHDOG=1"] * 3]


def test_one_that_stands_still_says_nothing_and_one_that_races_no_more_than_is_asked_for(
    systemd: socket.socket, tmp_path: Path
) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "900000000"})
    for _ in range(100):
        manager.alive()
    assert systemd.recv(64) == b"WATCHDOG=1"
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(64)


def test_a_name_that_is_no_file_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # Linux gives a free name of the kind that begins with a zero byte
        listening.settimeout(WAIT_S)
        ServiceManager({"NOTIFY_SOCKET": "@" + listening.getsockname()[1:].decode()}).ready()
        assert listening.recv(64) == b"READY=1"


def test_nobody_is_told_where_nobody_asks(systemd: socket.socket, tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}):
        ServiceManager(environment).alive()
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()  # told in the log, and no fault
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(64)


def test_the_unit_in_the_manual_restarts_what_a_restart_mends() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    block = re.search(r"```ini\n(.*?)```", text, re.DOTALL)
    assert block is not None
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block[1])
    service = unit["Service"]
    assert (service["Type"], service["Restart"]) == ("notify", "on-failure")
    assert int(service["WatchdogSec"]) > 30  # a batch on a CPU may take some of it
    never_again = service["RestartPreventExitStatus"].split()
    assert str(ConfigError.exit_code) in never_again
    assert str(RestartError.exit_code) not in never_again
