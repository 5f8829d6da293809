"""What roll-outs and rollbacks order, and what they take for carried out: with stations that answer at once."""

import itertools
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.errors import RollOutError
from fleet.order import Order, Package, any_signature, read_order
from fleet.report import Report, State
from fleet.roll_out import BACK, RollOut
from fleet.settings import FleetSettings
from fleet.station import Station
from runtime.following.publication import Publication
from runtime.mqtt.message import Outgoing
from runtime.mqtt.settings import BrokerSettings

PARTS = 300


class Answering:
    """Stands for the broker, and for stations that carry out what is ordered at once, or as `obey` says."""

    trouble = ""

    def __init__(self, *names: str) -> None:
        self.found = {name: Station(name, status={"state": "online"}, has_agent=True) for name in names}
        self.follower = self
        self.obey: Callable[[Station, Order], Report] = lambda _station, order: report("running", order)
        self.meanwhile: Callable[[], None] = lambda: None
        for station in self.found.values():
            station.report = report("installed", None)

    def read(self) -> dict[str, Station]:
        return self.found

    def wait_for(self, reached: Callable[[], bool], _timeout_s: float) -> bool:
        """Meanwhile all judge some good parts, and what else a test wants."""
        self.meanwhile()
        for station in self.found.values():
            station.cameras["top"] = {"ok": station.count.judged + PARTS}
        return reached()

    def publish(self, message: Outgoing) -> Publication:
        station = self.found[message.topic.removesuffix("/bundle/desired")]
        station.order = read_order(message.payload, station.name, any_signature)
        station.report = self.obey(station, station.order)
        sent = Publication(message)
        sent.settle()
        return sent

    def packages(self) -> list[Package | None]:
        return [station.order.package if station.order else None for station in self.found.values()]


def report(state: State, order: Order | None, sha256: str | None = None) -> Report:
    serial, ordered = (order.serial, order.sha256) if order else (0, None)
    return Report(state=state, serial=serial, sha256=sha256 or ordered, model="m", model_sha256="")


def package(letter: str, url: str = "https://here/") -> Package:
    return Package(sha256=letter * 64, url=url)


def roll_out(stations: Answering) -> RollOut:
    broker = BrokerSettings(host="127.0.0.1")
    settings = FleetSettings(broker=broker, waves=(1,), watch_parts=1, report_within_s=0.1, watch_within_s=0.1)
    return RollOut(settings, stations, Ed25519PrivateKey.generate(), lambda _words: None)  # type: ignore[arg-type]


def test_an_agent_that_starts_anew_and_tells_what_it_had_has_not_carried_out_the_order() -> None:
    stations = Answering("a")
    roll_out(stations).forth(package("1"))
    stations.obey = lambda _station, order: report("installed", order, sha256="1" * 64)
    with pytest.raises(RollOutError, match="wave 1 stopped: a has not reported it"):
        roll_out(stations).forth(package("2"))


def test_a_bundle_that_is_ordered_again_from_another_place_is_taken_back_to_the_one_before() -> None:
    stations = Answering("a")
    roll_out(stations).forth(package("1"))
    stations.obey = lambda _station, order: report("failed", order, sha256="1" * 64)
    with pytest.raises(RollOutError):
        roll_out(stations).forth(package("2", "https://away/"))
    stations.obey = lambda _station, order: report("running", order)
    roll_out(stations).forth(package("2"))
    roll_out(stations).back()
    assert stations.packages() == [package("1")]


def test_a_bundle_that_was_ordered_and_never_in_force_is_not_what_is_gone_back_to() -> None:
    stations = Answering("a")
    roll_out(stations).forth(package("1"))
    stations.obey = lambda _station, order: report("failed", order, sha256="1" * 64)
    with pytest.raises(RollOutError):
        roll_out(stations).forth(package("2"))
    stations.obey = lambda _station, order: report("running", order)
    roll_out(stations).forth(package("3"))
    roll_out(stations).back()
    assert stations.packages() == [package("1")]


@pytest.mark.parametrize("brought_back", [True, False])
def test_where_the_broker_lost_the_newest_order_what_the_station_had_is_gone_back_to(brought_back: bool) -> None:
    stations = Answering("a")
    roll_out(stations).forth(package("1"))
    older = stations.found["a"].order
    roll_out(stations).forth(package("2"))
    stations.found["a"].order = older if brought_back else None
    roll_out(stations).forth(package("3"))
    roll_out(stations).back()
    assert stations.packages() == [package("2", url="")], "the agent has kept it"


def test_a_station_whose_way_back_was_lost_is_told_and_the_others_go_back() -> None:
    stations = Answering("a", "b")
    roll_out(stations).forth(package("1"))
    roll_out(stations).forth(package("2"))
    stations.found["a"].order = None
    roll_out(stations).forth(package("2"))
    with pytest.raises(RollOutError, match="rollback: a has to stay: the broker lost the order"):
        roll_out(stations).back()
    assert stations.packages() == [package("2"), package("1")]


def test_a_roll_out_that_goes_on_is_taken_back_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    hours_s = itertools.count(1_800_000_000, 3600)
    clock = SimpleNamespace(time=lambda: float(next(hours_s)), monotonic=time.monotonic)
    monkeypatch.setattr("fleet.roll_out.time", clock)
    stations = Answering("a", "b")
    roll_out(stations).forth(package("1"))

    def late(station: Station, order: Order) -> Report:
        return report("fetching" if station.name == "a" else "running", order)

    stations.obey = late
    with pytest.raises(RollOutError):
        roll_out(stations).forth(package("2"))
    stations.obey = lambda _station, order: report("running", order)
    roll_out(stations).forth(package("2"))
    assert stations.packages() == [package("2"), package("2")]
    roll_out(stations).back()
    assert stations.packages() == [package("1"), package("1")]
    assert all(station.order and station.order.roll_out.endswith(BACK) for station in stations.found.values())


def test_an_order_is_newer_than_what_a_station_believed_by_a_clock_that_was_ahead() -> None:
    stations = Answering("a")
    ahead = int(time.time() * 1000) + 3_600_000
    stations.found["a"].report = Report(state="installed", serial=ahead, sha256=None, model="m", model_sha256="")
    roll_out(stations).forth(package("1"))
    assert stations.found["a"].order is not None
    assert stations.found["a"].order.serial > ahead, "its agent would refuse it"


def test_a_number_that_no_clock_gives_is_not_counted_on() -> None:
    stations = Answering("a")
    stations.found["a"].report = Report(state="installed", serial=10**18, sha256=None, model="m", model_sha256="")
    roll_out(stations).forth(package("1"))
    assert stations.found["a"].order is not None
    assert stations.found["a"].order.serial < 10**18


@pytest.mark.parametrize("watched", [False, True])
def test_a_roll_out_ends_where_it_is_taken_back_from_another_terminal(watched: bool) -> None:
    """While the first wave is watched, or before it has reported."""
    stations = Answering("a", "b")
    roll_out(stations).forth(package("1"))
    looks = itertools.count()

    def take_back() -> None:
        if next(looks) == watched:
            roll_out(stations).back()

    stations.meanwhile = take_back
    with pytest.raises(RollOutError, match=r"wave 1 stopped: a has an order of another `fleet` command .*/back"):
        roll_out(stations).forth(package("2"))
    assert stations.packages() == [package("1"), package("1")], "nothing of it goes on"


def test_cameras_that_tell_one_after_the_other_that_their_inspection_began_anew_are_counted_from_there() -> None:
    station = Station("a", cameras={"left": {"ok": 1000, "not_ok": 50}, "right": {"ok": 9000, "not_ok": 500}})
    before = station.counts
    station.cameras["left"] = {"ok": 3}
    assert (station.since(before).judged, station.since(before).rejected) == (3, 0)
    station.cameras["right"] = {"ok": 1, "not_decidable": 1}
    assert (station.since(before).judged, station.since(before).rejected) == (5, 1)
