"""The roll-out: a bundle for all stations, wave by wave, that stops where one fails or rejects more than before."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from core.errors import ConfigError, RollOutError
from fleet.order import Order, Package, sealed
from fleet.report import Report
from fleet.settings import FleetSettings
from fleet.station import Count, Station, Stations
from runtime.events.topics import Topics
from runtime.mqtt.message import Outgoing

BACK = "/back"
"""Ends the name of a roll-out that was taken back."""
CHANCE = 1e-5
"""Of a jump that is none, at one look at one station: there are hundreds of them, looked at again and again."""
AHEAD_MS = 366 * 86_400_000
"""No clock by which orders were numbered is further ahead: such a number is nobody's."""


class RollOut:
    """One roll-out, or one rollback; `say` is told how far it is."""

    def __init__(
        self, settings: FleetSettings, stations: Stations, private_key: Any, say: Callable[[str], None]
    ) -> None:
        """`private_key` (Ed25519) signs the orders."""
        self._settings = settings
        self._stations = stations
        self._key = private_key
        self._say = say
        self._serials: dict[str, int] = {}
        """Of the newest order of each station by its name that was read, or given here."""

    def forth(self, package: Package) -> None:
        """Order `package` in waves. Raises RollOutError where one was stopped, ConfigError where no station waits."""
        found = self._read()
        waiting = [
            each for each in found.values() if each.order is None or each.order.package != package or _failed(each)
        ]
        here = [each for each in waiting if each.has_agent and each.is_online]
        away = [each for each in waiting if each.report is not None and each not in here]
        if not here and not away:
            raise ConfigError(
                "no station waits for this bundle: all have it, or no agent is below `stations` in the configuration."
            )
        newest = _newest(found.values())
        name = f"{package.sha256[:12]}-{int(time.time())}"
        if newest and newest.sha256 == package.sha256 and not newest.roll_out.endswith(BACK):
            name = newest.roll_out  # it goes on, and is taken back as one
        self._say(f"roll-out {name}: {len(here)} stations in waves, {len(away)} away, which get it when they come")
        for number, wave in enumerate(waves(here, self._settings.waves), 1):
            self._wave(f"wave {number}", {each: self._order(each, name, package) for each in wave})
        self._require_alone("roll-out")
        self._send("roll-out", [self._order(each, name, package) for each in away])
        self._say("done")

    def back(self) -> None:
        """Order what the stations of the newest roll-out had before, all at once.

        Raises ConfigError where nothing can be taken back, RollOutError where a station has not gone back in time.
        """
        found = self._read()
        newest = _newest(found.values())
        name = newest.roll_out.removesuffix(BACK) if newest else ""
        concerned = [each for each in found.values() if each.order is not None and each.order.roll_out == name]
        if not concerned:
            raise ConfigError(f"nothing to take back: {name or 'no roll-out'} is on no station any more.")
        lost = [each for each in concerned if each.order and each.order.is_without_way_back]
        orders = {
            each: self._order(each, name + BACK, each.order.previous)
            for each in concerned
            if each.order is not None and each not in lost
        }
        told = {each: each.report for each in orders}
        self._send("rollback", orders.values())
        here = {each: order for each, order in orders.items() if each.has_agent}
        self._say(f"rollback of {name}: {len(here)} stations, {len(orders) - len(here)} away")
        self._require_reports("rollback", here, told)
        if lost:
            raise RollOutError(
                f"rollback: {_named(lost)} to stay: the broker lost the order by which it came there, and so what was "
                "before it; `fleet roll-out` the package that you want."
            )
        self._say("done")

    def _read(self) -> Mapping[str, Station]:
        found = self._stations.read()
        if strange := [each for each in found.values() if each.is_order_strange]:
            self._say(f"{_named(strange)} an order that is not signed with `key`, which counts for none")
        self._serials = {name: each.order.serial if each.order else 0 for name, each in found.items()}
        return found

    def _overtaken(self) -> list[tuple[Station, Order]]:
        """Give what somebody else has ordered since, such as a rollback from another terminal."""
        found = [*self._stations.found.values()]
        orders = [(each, order) for each in found if (order := each.order) is not None]
        return [(each, order) for each, order in orders if order.serial > self._serials.get(each.name, math.inf)]

    def _require_alone(self, name: str) -> None:
        """Raises RollOutError where somebody else orders, too: what was watched would be another's bundle."""
        for each, order in self._overtaken():
            raise RollOutError(
                f"{name} stopped: {each.name} has an order of another `fleet` command by now ({order.roll_out}), which "
                "counts; nothing more is ordered here. Let one of both end before the other begins."
            )

    def _wave(self, name: str, orders: "Mapping[Station, Order]") -> None:
        self._require_alone(name)
        before, told = {each: each.count for each in orders}, {each: each.report for each in orders}
        self._send(name, orders.values())
        self._require_reports(name, orders, told)
        at_change = {each: each.counts for each in orders}
        self._say(f"{name}: {len(orders)} stations have it; {self._settings.watch_parts} parts each are watched")
        self._require_no_jump(name, before, at_change)

    def _require_reports(
        self, name: str, orders: "Mapping[Station, Order]", told: "Mapping[Station, Report | None]"
    ) -> None:
        """`told` are the reports from before the orders: what is said in them is not about these."""

        def late() -> list[Station]:
            return [each for each, order in orders.items() if not _has_done(each, order)]

        def wrong() -> list[Station]:
            return [each for each in late() if each.report and each.report != told[each] and each.report.error]

        self._wait_for(name, lambda: bool(wrong()) or not late(), self._settings.report_within_s)
        for each in wrong():
            raise RollOutError(
                f"{name} stopped: {each.name}: {each.report.error if each.report else ''} {_remedy(name)}"
            )
        if missing := late():
            within = f"{self._settings.report_within_s:.0f} s"
            away = self._stations.follower.trouble
            why = f"; the broker is away ({away})" if away else ""
            raise RollOutError(
                f"{name} stopped: {_named(missing)} not reported it within {within}{why}. {_remedy(name)}"
            )

    def _require_no_jump(
        self, name: str, before: "Mapping[Station, Count]", at_change: "Mapping[Station, Mapping[str, Count]]"
    ) -> None:
        least = self._settings.watch_parts

        def jumping() -> list[Station]:
            return [
                each
                for each, old in before.items()
                if jumps(old, each.since(at_change[each]), self._settings.reject_jump)
            ]

        def slow() -> list[Station]:
            return [each for each, counts in at_change.items() if each.since(counts).judged < least]

        self._wait_for(name, lambda: bool(jumping()) or not slow(), self._settings.watch_within_s)
        for each in jumping():
            new = each.since(at_change[each])
            was = before[each].rate
            raise RollOutError(
                f"{name} stopped: {each.name} does not pass {new.rejected} of {new.judged} parts, "
                f"before it was {'none that was judged' if was is None else f'{was:.1%}'}. {_remedy(name)}"
            )
        if missing := slow():
            within = f"{self._settings.watch_within_s:.0f} s"
            raise RollOutError(
                f"{name} stopped: {_named(missing)} not judged {least} parts within {within}. {_remedy(name)}"
            )

    def _wait_for(self, name: str, reached: Callable[[], bool], timeout_s: float) -> None:
        """Wait until the stations are as `reached` says, for no longer than that; see `_require_alone`."""
        self._stations.wait_for(lambda: bool(self._overtaken()) or reached(), timeout_s)
        self._require_alone(name)

    def _order(self, station: Station, roll_out: str, package: Package | None) -> Order:
        old, report = station.order, station.report
        now_ms = int(time.time() * 1000)
        # What it believed may be lost to the broker, and of a clock that was ahead. Anybody there can tell a number.
        believed = report.serial if report and report.serial < now_ms + AHEAD_MS else 0
        serial = max(now_ms, (old.serial if old else 0) + 1, believed + 1)
        previous = _in_force(station)
        # Ordered again, perhaps from another place: back is still before that.
        if old is not None and old.sha256 == (package.sha256 if package else None):
            previous = old.previous
        return Order(station=station.name, serial=serial, roll_out=roll_out, package=package, previous=previous)

    def _send(self, name: str, orders: Iterable[Order]) -> None:
        """Raises RollOutError where the broker does not take one of them."""
        orders, follower = list(orders), self._stations.follower
        self._serials |= {each.station: each.serial for each in orders}
        told = [Outgoing(Topics(each.station).bundle_desired, sealed(each, self._key), retain=True) for each in orders]
        under_way = [follower.publish(order) for order in told]
        until_s = time.monotonic() + self._settings.report_within_s
        for sent in under_way:
            if not sent.wait(max(0.0, until_s - time.monotonic())):
                for each in under_way:
                    each.withdraw()
                why = follower.trouble or "it does not acknowledge them"
                raise RollOutError(f"{name} stopped: the broker has not taken all orders ({why}). {_remedy(name)}")
            if sent.refusal:
                raise RollOutError(
                    f"{name} stopped: the broker does not take {sent.message.topic} ({sent.refusal}). {_remedy(name)}"
                )


def waves(stations: Sequence[Station], sizes: Iterable[int]) -> list[list[Station]]:
    """Part the stations, in their order, into waves of these sizes and a last one of all that are left. Pure."""
    parted, start = [], 0
    for size in (*sizes, len(stations)):
        if wave := [*stations[start : start + size]]:
            parted.append(wave)
        start += size
    return parted


def jumps(old: Count, new: Count, allowed: float) -> bool:
    """Say whether more parts are rejected than before, by more than `allowed` and than chance explains. Pure.

    Were the share the old one and `allowed` more, so many of the new parts would be rejected with a chance below
    CHANCE (Chernoff's bound). Where few parts were judged before, the old share is taken for higher (Laplace's rule).
    """
    usual = max(old.rate or 0.0, (old.rejected + 1) / (old.judged + 2)) + allowed
    share = new.rate
    if share is None or share <= usual:
        return False
    kept = (1 - share) * math.log((1 - share) / (1 - usual)) if share < 1 else 0.0
    return new.judged * (share * math.log(share / usual) + kept) > -math.log(CHANCE)


def _newest(stations: Iterable[Station]) -> Order | None:
    return max((each.order for each in stations if each.order), key=lambda order: order.serial, default=None)


def _in_force(station: Station) -> Package | None:
    """Give what it has, as it tells: the order may have failed, be unheard yet, or be lost to the broker."""
    order, report = station.order, station.report
    if report is None:
        return order.package if order else None
    ordered = (order.package, order.previous) if order else ()
    for each in ordered:
        if each is not None and each.sha256 == report.sha256:
            return each
    return Package(sha256=report.sha256, url="") if report.sha256 else None


def _has_done(station: Station, order: Order) -> bool:
    """Whether it has what was ordered: an agent that starts anew tells of an order what it has before it obeys."""
    report = station.report
    is_of_it = report is not None and (report.serial, report.sha256) == (order.serial, order.sha256)
    return is_of_it and report is not None and report.is_done


def _failed(station: Station) -> bool:
    return station.report is not None and station.report.state == "failed"


def _named(stations: Sequence[Station]) -> str:
    names = ", ".join(each.name for each in stations[:5])
    more = f" and {len(stations) - 5} more" if len(stations) > 5 else ""
    return f"{names}{more} {'has' if len(stations) == 1 else 'have'}"


def _remedy(name: str) -> str:
    return "Look at them." if name == "rollback" else "`fleet rollback` takes it back; `fleet roll-out` again goes on."
