"""The edge node: the station and its cameras as Sparkplug sees them, and the messages that tell it. No connection.

Rules by their chapters in Eclipse Sparkplug 3.0.0: topics and births 4.2, sequence numbers and payloads 6.4.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from runtime.mqtt.message import Outgoing
from runtime.sparkplug.payload import DataType, Metric, Value, encode, switched_on
from runtime.sparkplug.tags import BD_SEQ, CAMERA, REBIRTH, STATION, camera_values, station_values

NAMESPACE = "spBv1.0"
MEDIA_TYPE = "application/x-protobuf"
State = dict[str, Metric]


class EdgeNode:
    """Turns what the station told as JSON into births and data. It belongs to one thread."""

    def __init__(
        self,
        group: str,
        station: str,
        prefix: str,
        cameras: Mapping[str, Collection[str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`prefix` is that of the station's own topics, `cameras` names of each the streams of parts: the devices.

        `clock` gives Unix time.
        """
        self._group = group
        self._station = station
        self._prefix = f"{prefix}/"
        self._cameras = cameras
        self._clock = clock
        self._seq = 0
        self._node = self._unknown(STATION)
        self._devices = {stream: self._unknown(CAMERA) for streams in cameras.values() for stream in streams}
        self._newest: dict[str, str] = {}
        """The id of each device's newest event, by its `last` topic: that one is current, however long it waited."""

    @property
    def commands(self) -> str:
        """Where hosts command the node."""
        return self._topic("NCMD")

    def death(self, bd_seq: int) -> Outgoing:
        """Give what is said when the node is gone: its will, and its last words."""
        body = encode([self._bd_seq(bd_seq)], self._now_ms, None)
        return Outgoing(self._topic("NDEATH"), body, qos=1, media_type=MEDIA_TYPE)

    def births(self, bd_seq: int) -> list[Outgoing]:
        """Give what every connection begins with: the node and each device, with all tags and their current values."""
        self._seq = -1
        rebirth = Metric(REBIRTH, DataType.BOOLEAN, False, self._now_ms)
        node = self._message("NBIRTH", [self._bd_seq(bd_seq), rebirth, *self._node.values()])
        return [node, *(self._message("DBIRTH", list(tags.values()), name) for name, tags in self._devices.items())]

    def tell(self, message: Outgoing, is_late: bool) -> list[Outgoing]:
        """Give the data for a message of ours that the broker has taken; none where it holds no tag.

        `is_late` says that it waited for this connection, as its own `replayed` does that it waited for the other.
        """
        if not message.topic.startswith(self._prefix):  # a reply to a topic that a command named
            return []
        if not message.payload:  # what was retained of a camera that is gone is cleared
            return []
        match message.topic.removeprefix(self._prefix).split("/"):
            case ["status" | "model" as leaf]:
                metrics = self._metrics(STATION, station_values(leaf, json.loads(message.payload)))
                return [self._data("NDATA", self._node, metrics)]
            case ["camera", name, "status" | "counters" as leaf]:
                metrics = self._metrics(CAMERA, camera_values(leaf, json.loads(message.payload)))
                devices = self._cameras.get(name, [name]) if leaf == "status" else [name]
                return [self._data("DDATA", self._devices[each], metrics, each) for each in devices]
            case ["camera", name, "last"]:
                self._newest[name] = json.loads(message.payload)["id"]
            case ["camera", name, "result" | "gap" as leaf] if name in self._devices:
                return [self._data("DDATA", self._devices[name], self._told(name, leaf, message, is_late), name)]
        return []

    def asks_for_rebirth(self, command: bytes) -> bool:
        """Say whether a command on `commands` asks for births. Raises ValueError where it is no payload."""
        return REBIRTH in switched_on(command)

    def _told(self, device: str, leaf: str, message: Outgoing, is_late: bool) -> list[Metric]:
        body = json.loads(message.payload)
        at_ms = _unix_ms(body.get("capture_time", body["time"]))
        is_historical = (is_late or body["replayed"]) and body["id"] != self._newest.get(device)
        return self._metrics(CAMERA, camera_values(leaf, body), at_ms, is_historical)

    def _data(self, kind: str, tags: State, metrics: list[Metric], device: str | None = None) -> Outgoing:
        tags.update({metric.name: metric for metric in metrics if not metric.is_historical})
        return self._message(kind, metrics, device)

    def _message(self, kind: str, metrics: list[Metric], device: str | None = None) -> Outgoing:
        self._seq = (self._seq + 1) % 256
        body = encode(metrics, self._now_ms, self._seq)
        return Outgoing(self._topic(kind, device), body, qos=0, media_type=MEDIA_TYPE)

    def _metrics(
        self,
        types: Mapping[str, DataType],
        values: Mapping[str, Value],
        at_ms: int | None = None,
        is_historical: bool = False,
    ) -> list[Metric]:
        at_ms = self._now_ms if at_ms is None else at_ms
        return [Metric(name, types[name], value, at_ms, is_historical) for name, value in values.items()]

    def _unknown(self, types: Mapping[str, DataType]) -> State:
        return {metric.name: metric for metric in self._metrics(types, dict.fromkeys(types))}

    def _bd_seq(self, number: int) -> Metric:
        return Metric(BD_SEQ, DataType.INT64, number, self._now_ms)

    def _topic(self, kind: str, device: str | None = None) -> str:
        return "/".join([NAMESPACE, self._group, kind, self._station, *([device] if device else [])])

    @property
    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


def _unix_ms(rfc3339: str) -> int:
    return round(datetime.fromisoformat(rfc3339).timestamp() * 1000)
