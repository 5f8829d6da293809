"""The stations, as their retained topics tell of them: what each should have, has, and rejects."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import ArtifactError
from fleet.order import IsSigned, Order, any_signature, read_order
from fleet.report import Report
from fleet.settings import FleetSettings
from runtime.following.follower import Contact, Follower
from runtime.mqtt.message import Message

MOST_PARTS = 2**63
"""Of a camera: a longer number is none that a station tells, and cannot be reckoned with."""
QUIET_S, LOOK_S = 0.5, 0.05
"""No retained message for this long after the first: they have all come."""


@dataclass(frozen=True)
class Count:
    """Parts of a camera, or of all of a station, since its inspection's start."""

    judged: int = 0
    rejected: int = 0
    """Not passed: NotOK or NotDecidable."""

    @property
    def rate(self) -> float | None:
        """Share of parts that were not passed; None where none was judged."""
        return self.rejected / self.judged if self.judged else None

    def since(self, before: "Count") -> "Count":
        """Give what was judged since `before`; an inspection that was started again counts from 0."""
        if self.judged < before.judged or self.rejected < before.rejected:
            return self
        return Count(self.judged - before.judged, self.rejected - before.rejected)


@dataclass(eq=False)
class Station:
    """One station; written on the follower's thread alone."""

    name: str
    """The prefix of its topics."""
    status: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    order: Order | None = None
    is_order_strange: bool = False
    """Whether what stands where its order should is none of ours, or damaged: it counts for none."""
    report: Report | None = None
    has_agent: bool = False
    cameras: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The `counters` of each camera."""

    def forget(self, leaf: str) -> bool:
        """Somebody cleared one of its topics. Returns whether nothing is known of it any more."""
        match leaf.split("/"):
            case ["bundle", "desired"]:
                self.order, self.is_order_strange = None, False
            case ["bundle", "reported"]:
                self.report = None
            case ["bundle", "agent"]:
                self.has_agent = False
            case ["camera", camera, "counters"]:
                self.cameras.pop(camera, None)
            case ["status"]:
                self.status = {}
            case _:
                self.model = {}
        return not (self.status or self.model or self.order or self.report or self.has_agent or self.cameras)

    @property
    def is_online(self) -> bool:
        """Whether its inspection runs."""
        return self.status.get("state") == "online"

    @property
    def counts(self) -> dict[str, Count]:
        """Of each of its cameras."""
        return {camera: _count(dict(counters)) for camera, counters in dict(self.cameras).items()}

    @property
    def count(self) -> Count:
        """Of all its cameras."""
        return _sum(self.counts.values())

    def since(self, before: Mapping[str, Count]) -> Count:
        """Give what all its cameras judged since `before`, each of which tells of a new start at its own time."""
        return _sum(count.since(before.get(camera, Count())) for camera, count in self.counts.items())

    @property
    def drifting(self) -> list[str]:
        """Cameras whose good parts come nearer to the threshold."""
        return sorted(name for name, counters in dict(self.cameras).items() if counters.get("drifts") is True)


class Stations:
    """Keeps up with all stations below a topic filter, while its follower is connected."""

    def __init__(self, settings: FleetSettings, client_id: str, is_ours: IsSigned = any_signature) -> None:
        """Hear them through a follower of its own, as `client_id`; `is_ours` tells our orders from others'."""
        self._is_ours = is_ours
        self.found: dict[str, Station] = {}
        """By name, as far as they are known by now."""
        self._changed = threading.Condition()
        self._heard_s = time.monotonic()
        self._known: set[tuple[str, str]] = set()
        """What is known: of which station, on which of its topics."""
        self._told: set[tuple[str, str]] = set()
        """What was told since the connection was lost last: the rest may be cleared, or lost to the broker."""
        leaves = ("status", "model", "bundle/desired", "bundle/reported", "bundle/agent", "camera/+/counters")
        handlers = {f"{settings.stations}/{leaf}": self._hear for leaf in leaves}
        # Brokers give up what waits for one client beyond a limit (mosquitto: 1,000): with QoS 0 next to nothing waits.
        self.follower = Follower(settings.broker, client_id, handlers, qos=0, on_contact=self._look_around)

    def read(self) -> dict[str, Station]:
        """Wait until what is retained has come, and give the stations by name. What is so no more is forgotten.

        Raises BrokerError where the broker cannot be reached, or does not let us hear them.
        """
        self._heard_s = time.monotonic()
        while True:
            self.follower.require()  # a connection that was lost meanwhile brings all of it again
            left_s = self._heard_s + QUIET_S - time.monotonic()
            if left_s <= 0 and self.follower.is_through:
                break
            time.sleep(max(left_s, LOOK_S))
        with self._changed:
            for station, leaf in self._known - self._told:
                self._forget(station, leaf)
            return dict(sorted(self.found.items()))

    def wait_for(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until the stations are as `reached` says; False where that takes longer than `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(reached, timeout_s)

    def _look_around(self, contact: Contact) -> None:
        self._heard_s = time.monotonic()
        if not contact.is_up:
            with self._changed:
                self._told.clear()

    def _hear(self, message: Message) -> None:
        station, leaf = _parted(message.topic)
        with self._changed:
            if message.retained:
                self._heard_s = time.monotonic()
            if message.payload:
                self._known.add((station, leaf))
                self._told.add((station, leaf))
                self._note(self.found.setdefault(station, Station(station)), leaf, message.payload)
            else:
                self._forget(station, leaf)
            self._changed.notify_all()

    def _forget(self, station: str, leaf: str) -> None:
        self._known.discard((station, leaf))
        self._told.discard((station, leaf))
        if station in self.found and self.found[station].forget(leaf):
            del self.found[station]

    def _note(self, station: Station, leaf: str, payload: bytes) -> None:
        """Take in what is readable; what is not tells nothing."""
        try:
            match leaf.split("/"):
                case ["bundle", "desired"]:
                    # In one step: whoever signs a new order asks meanwhile what was ordered before.
                    station.order = self._order(payload, station.name)
                    station.is_order_strange = station.order is None
                case ["bundle", "reported"]:
                    station.report = Report.model_validate_json(payload)
                case ["bundle", "agent"]:
                    station.has_agent = payload == b"online"
                case ["camera", camera, "counters"]:
                    station.cameras[camera] = _object(payload)
                case ["status"]:
                    station.status = _object(payload)
                case _:
                    station.model = _object(payload)
        except (ValueError, RecursionError):
            return

    def _order(self, payload: bytes, name: str) -> Order | None:
        """Give what was ordered; None where it is not ours, or no order."""
        try:
            return read_order(payload, name, self._is_ours)
        except ArtifactError:
            return None


def _parted(topic: str) -> tuple[str, str]:
    levels = topic.split("/")
    own = {"counters": 3, "desired": 2, "reported": 2, "agent": 2}.get(levels[-1], 1)
    return "/".join(levels[:-own]), "/".join(levels[-own:])


def _object(payload: bytes) -> dict[str, Any]:
    content = json.loads(payload)
    if not isinstance(content, dict):
        raise ValueError("no object")
    return content


def _count(counters: dict[str, Any]) -> Count:
    rejected = _whole(counters, "not_ok") + _whole(counters, "not_decidable")
    return Count(rejected + _whole(counters, "ok"), rejected)


def _sum(counts: Iterable[Count]) -> Count:
    each = list(counts)
    return Count(sum(count.judged for count in each), sum(count.rejected for count in each))


def _whole(counters: dict[str, Any], key: str) -> int:
    value = counters.get(key, 0)
    return value if isinstance(value, int) and 0 < value < MOST_PARTS else 0
