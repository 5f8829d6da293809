"""Roll-outs and rollbacks: a real station with its inspection, camera and agent, a real broker, a real HTTPS server."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleet.cli import fleet
from fleet.order import Package
from fleet.roll_out import jumps, waves
from fleet.station import Count, Station
from runtime.events.topics import Topics
from tests.fleet.conftest import Key, new_box
from tests.fleet.https_server import HttpsServer
from tests.fleet.site import Site
from tests.runtime.broker import Mosquitto
from tests.runtime.command import run_command
from tests.runtime.servers import MjpegServer
from tests.runtime.waiting import WAIT_S


@given(st.lists(st.integers(1, 60)), st.integers(0, 300))
def test_waves_are_all_stations_once_in_order_and_none_is_larger_than_asked(sizes: list[int], count: int) -> None:
    stations = [Station(str(number)) for number in range(count)]
    parted = waves(stations, sizes)
    assert [each for wave in parted for each in wave] == stations
    assert all(parted)
    assert all(len(wave) <= size for wave, size in zip(parted, sizes, strict=False))


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.floats(0, 1), st.floats(0.001, 0.5))
def test_a_rate_that_did_not_grow_by_more_than_allowed_never_jumps(
    before: int, after: int, share: float, allowed: float
) -> None:
    old = Count(before, round(before * share))
    new = Count(after, min(after, int(after * ((old.rate or 0) + allowed))))
    assert not jumps(old, new, allowed)


def test_a_clear_jump_is_seen_and_few_parts_say_nothing() -> None:
    usual = Count(10_000, 100)
    assert jumps(usual, Count(200, 25), 0.02)
    assert jumps(usual, Count(10, 10), 0.02)
    assert not jumps(usual, Count(200, 12), 0.02)
    assert not jumps(usual, Count(3, 1), 0.02)
    assert not jumps(usual, Count(), 0.02)
    assert not jumps(Count(5, 0), Count(200, 12), 0.02), "five parts say little of what was usual"
    assert jumps(Count(), Count(200, 190), 0.02)
    assert Count(30, 3).since(Count(100, 5)) == Count(30, 3), "the inspection was started anew"


class Fleet:
    """The operator's commands."""

    def __init__(self, folder: Path, broker: Mosquitto, server: HttpsServer, key: Key) -> None:
        self.config = folder / "fleet.yaml"
        self._folder, self._server = folder, server
        self.settings: dict[str, Any] = {
            "broker": {"host": "127.0.0.1", "port": broker.port},
            "key": str(key.private_file),
            "waves": [1],
            "report_within_s": WAIT_S,
            "watch_parts": 40,
            "watch_within_s": WAIT_S,
        }

    def __call__(self, verb: str, *arguments: object, **changed: Any) -> int:
        """Run a command; give its exit code."""
        self.config.write_text(yaml.safe_dump(self.settings | changed))
        before, sys.argv = sys.argv, ["fleet", verb, str(self.config), *map(str, arguments)]
        try:
            with pytest.raises(SystemExit) as end:
                fleet()
        finally:
            sys.argv = before
        return int(end.value.code or 0)

    def roll_out(self, package: Package, **changed: Any) -> int:
        file = self._folder / "package.zip"
        file.write_bytes(self._server.files[package.sha256])
        return self("roll-out", file, "--url", package.url, **changed)


@pytest.fixture
def station(tmp_path: Path, broker: Mosquitto, server: HttpsServer, key: Key) -> Iterator[Site]:
    camera = MjpegServer()
    box = new_box(tmp_path, "press-1", broker, server, key, {"kind": "http", "url": camera.url})
    process = run_command(box.inspection)
    running = Site(box, key, broker.port)
    try:
        running.mes.wait_for_events(60)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT_S)
        running.close()
        camera.close()


def test_from_a_good_roll_out_to_one_that_rejects_and_back(
    station: Site,
    tmp_path: Path,
    broker: Mosquitto,
    server: HttpsServer,
    key: Key,
    packed: Callable[..., Package],
    capsys: pytest.CaptureFixture[str],
) -> None:
    operator = Fleet(tmp_path, broker, server, key)
    good, strict = packed(121), packed(100)

    def in_use() -> str:
        station.mes.wait_for_events(len(station.mes.events()) + 20)
        return str(station.mes.events()[-1]["model"]["sha256"])

    first = in_use()
    assert operator.roll_out(good) == 0
    assert "done" in capsys.readouterr().out
    second = in_use()
    assert second != first

    # A bundle that passes nothing is stopped in its wave, and taken back by one command.
    assert operator.roll_out(strict) == 11
    error = capsys.readouterr().err
    assert "wave 1 stopped: pwae/site/area/line/press-1 does not pass" in error
    assert "`fleet rollback` takes it back" in error
    assert in_use() not in (first, second)
    assert operator("rollback") == 0
    assert in_use() == second
    assert operator("rollback") == 2, "it was taken back"

    # What the station refuses stops a roll-out at once.
    assert operator.roll_out(packed(122, lying=True)) == 11
    assert "differently from what the bundle says" in capsys.readouterr().err
    assert in_use() == second

    page = tmp_path / "fleet.html"
    assert operator("page", "--output", page) == 0
    row = page.read_text().split("<tbody>")[1]
    assert "press-1" in row
    assert "even-grey" in row
    assert second[:8] in row
    assert "differently from what the bundle says" in row
    assert json.loads(broker.retained("pwae/site/area/line/press-1/camera/top/counters").payload)["drifts"] is False

    # A broker that was killed brings an older order back: the same roll-out again gives the newer one.
    desired = Topics(station.box.station).bundle_desired
    older = broker.retained(desired).payload
    assert operator.roll_out(newer := packed(123)) == 0
    third, told = in_use(), len(station.reports())
    publish = ["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-r", "-t", desired, "-s"]
    subprocess.run(publish, input=older, check=True)
    station.mes.wait_for(
        lambda: any("`fleet roll-out` again gives it" in each.error for each in station.reports()[told:])
    )
    assert operator.roll_out(newer) == 0
    assert (station.reports()[-1].error, in_use()) == ("", third)


def test_a_package_of_another_key_or_of_no_station_is_refused_here(
    tmp_path: Path, broker: Mosquitto, server: HttpsServer, key: Key, packed: Callable[..., Package]
) -> None:
    from tests.fleet.conftest import new_key

    operator = Fleet(tmp_path, broker, server, key)
    assert operator.roll_out(packed(121, signed_by=new_key(tmp_path, "stranger"))) == 4
    assert operator.roll_out(packed(126), stations="elsewhere/+") == 2
    assert operator("roll-out", tmp_path / "package.zip", "--url", "http://x/") == 2
    assert operator("page", broker={"host": "127.0.0.1", "port": 1, "connect_timeout_s": 0.2}) == 8
