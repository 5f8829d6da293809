"""A station as OPC 40100-1's VisionSystemType: its state, its results and their events, and flat variables."""

import dataclasses
import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from asyncua import Node, Server, ua
from pydantic import BaseModel

from core.errors import one_line
from gateway import messages
from gateway.nodeset import MACHINE_VISION, RESULT_MANAGEMENT_TYPE, RESULT_READY_EVENT_TYPE, VISION_SYSTEM_TYPE
from gateway.results import Results, moment
from gateway.variables import Variables, stamped
from runtime.mqtt.message import Message
from runtime.sparkplug.payload import Value
from runtime.sparkplug.tags import CAMERA, STATION, camera_values, station_values
from runtime.threads.seldom import Seldom

log = logging.getLogger(__name__)
NAMESPACE = "urn:p-wae:opcua-gateway"
T = TypeVar("T")
FIELD_TYPES = {
    **dict.fromkeys(("HasTransferableDataOnFile", "IsPartial", "IsSimulated"), ua.VariantType.Boolean),
    "ResultState": ua.VariantType.Int32,
    "CreationTime": ua.VariantType.DateTime,
    "ResultContent": ua.VariantType.Variant,
}
"""Of a result's fields that are no structures: asyncua does not take them from the nodeset."""
CAMERA_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")
MOST_CAMERAS = 500
"""Of a station, regions too: whoever may write on its topics can invent names, and no node goes again."""
NO_STATE, ERROR, HALTED, PREOPERATIONAL, OPERATIONAL = "", "Error", "Halted", "Preoperational", "Operational"


@dataclasses.dataclass(frozen=True)
class _Event:
    values: Mapping[str, Value]
    captured: datetime
    replayed: bool


class VisionSystem:
    """Follows one station. Made by `add_vision_system`; it belongs to the server's event loop."""

    def __init__(self, server: Server, node: Node, results: Results, events: list[Any]) -> None:
        """`events` are generators of ResultReadyEventType."""
        self._server = server
        self._node = node
        self._results = results
        self._events = events
        self._cameras: dict[str, Variables] = {}
        self._newest: dict[str, datetime] = {}
        self._station = Variables(server)
        self._state = NO_STATE
        self._ignored = Seldom()

    async def begin(self) -> None:
        """Add the station's own variables."""
        await self._station.add(self._node, STATION)
        await self._enter(PREOPERATIONAL)

    async def hear(self, path: str, message: Message) -> None:
        """Take a message on the station's topic `path`, without its prefix. What is not as it should be is logged."""
        try:
            await self._hear(path, message)
        except ua.UaError as error:  # a camera is called as something that is there already
            self._ignore(message, error)

    async def _hear(self, path: str, message: Message) -> None:
        match path.split("/"):
            case ["status"] if not message.payload:  # somebody cleared it: the station is there no more
                await self._follow(is_online=False, is_held=False)
                await self._station.doubt()
            case ["status" | "model" as leaf]:
                values = self._read(message, messages.STATION[leaf], lambda body: station_values(leaf, body))
                if values is not None:
                    await self._station.write(values, datetime.now(UTC))
                    if leaf == "status":
                        await self._follow(values["Station/State"] == "online", bool(values["Station/Reason"]))
            case ["camera", name, leaf]:
                await self._hear_camera(name, leaf, message)

    async def _hear_camera(self, name: str, leaf: str, message: Message) -> None:
        if not message.payload:  # the station's file names it no more
            if name in self._cameras:
                await self._cameras[name].doubt()
        elif not CAMERA_NAME.fullmatch(name):
            self._ignore(message, "no camera is called so")
        elif name not in self._cameras and len(self._cameras) >= MOST_CAMERAS:
            self._ignore_crowd(name)
        elif leaf == "result":
            told = self._read(
                message,
                messages.CAMERA["result"],
                lambda body: (_event(body), self._results.add(body, message.payload)),
            )
            if told is not None:
                event, result = told
                await self._show(name, event)
                await self._tell(f"{name}: {event.values['Verdict/Name']}", event.captured, result)
        elif leaf == "last":
            # What was newest before we came; results come themselves.
            if message.retained and (kept := self._read(message, messages.CAMERA["last"], _event)) is not None:
                await self._show(name, kept)
        elif leaf in ("counters", "status", "gap"):
            values = self._read(message, messages.CAMERA[leaf], lambda body: camera_values(leaf, body))
            if values is not None:
                await self._write(name, values, datetime.now(UTC))

    def _read(self, message: Message, form: type[BaseModel], read: Callable[[Any], T]) -> T | None:
        """Give what `read` makes of the JSON; None where it is not of `form`, which is told, or where there is none."""
        if not message.payload:
            return None
        try:
            return read(messages.read_message(form, message.payload))
        except ValueError as error:
            self._ignore(message, error)
            return None

    def _ignore(self, message: Message, why: object) -> None:
        """Tell it of a topic once a minute."""
        if self._ignored.is_due(message.topic):
            log.warning("message ignored topic=%s reason=%r", message.topic, one_line(why))

    def _ignore_crowd(self, name: str) -> None:
        """Tell it once a minute for all names."""
        if self._ignored.is_due("camera/"):
            told = "camera ignored station=%s camera=%s reason='it has %d cameras' remedy='find who writes there'"
            log.warning(told, self._node.nodeid.Identifier, name, MOST_CAMERAS)

    async def link(self, is_up: bool) -> None:
        """The broker is away, and nothing is known of the station any more; or there, and has told or tells soon."""
        if is_up and self._state == ERROR:  # else it has told already
            await self._enter(PREOPERATIONAL)
        if not is_up:
            await self._enter(ERROR)
            await self._doubt()
            await self._station.doubt()

    async def _show(self, name: str, event: _Event) -> None:
        """Set the camera's variables, unless the event is sent again and a newer one is shown."""
        if not event.replayed or event.captured >= self._newest.get(name, event.captured):
            self._newest[name] = event.captured
            await self._write(name, event.values, event.captured)

    async def _write(self, name: str, values: Mapping[str, Value], at: datetime) -> None:
        # Brokers hand over what they retained in any order: of a station that is gone this is the last known, too.
        await (await self._camera(name)).write(values, at, is_current=self._state != HALTED)

    async def _camera(self, name: str) -> Variables:
        if name not in self._cameras:
            camera = Variables(self._server)
            index = self._node.nodeid.NamespaceIndex
            place = ua.NodeId(f"{self._node.nodeid.Identifier}.{name}", index)
            await camera.add(await self._node.add_folder(place, ua.QualifiedName(name, index)), CAMERA)
            self._cameras[name] = camera
        return self._cameras[name]

    async def _tell(self, text: str, captured: datetime, result: Any) -> None:
        """Send a ResultReadyEventType."""
        for generator in self._events:
            for field in dataclasses.fields(result):
                kind = FIELD_TYPES.get(field.name, ua.VariantType.ExtensionObject)
                generator.event.add_property(field.name, getattr(result, field.name), kind)
            await generator.trigger(captured, text)

    async def _follow(self, is_online: bool, is_held: bool) -> None:
        if is_online:
            await self._enter(PREOPERATIONAL if is_held else OPERATIONAL)
        else:
            await self._enter(HALTED)
            await self._doubt()

    async def _doubt(self) -> None:
        for camera in self._cameras.values():
            await camera.doubt()

    async def _enter(self, state: str) -> None:
        if state == self._state:
            return
        self._state = state
        machine = f"{self._node.nodeid.Identifier}.VisionStateMachine"
        index = self._node.nodeid.NamespaceIndex
        current = ua.NodeId(f"{machine}.CurrentState", index)
        which = ua.DataValue(ua.Variant(ua.NodeId(f"{machine}.{state}", index), ua.VariantType.NodeId))
        await self._server.write_attribute_value(ua.NodeId(f"{machine}.CurrentState.Id", index), stamped(which))
        text = ua.Variant(ua.LocalizedText(state, "en"), ua.VariantType.LocalizedText)
        await self._server.write_attribute_value(current, stamped(ua.DataValue(text)))


async def add_vision_system(server: Server, name: str, types: Mapping[str, Any]) -> VisionSystem:
    """Add a station to the address space, as `ns=<NAMESPACE>;s=<name>`; `types` are the nodeset's structures."""
    index = await server.register_namespace(NAMESPACE)
    vision = await server.get_namespace_index(MACHINE_VISION)
    node = await server.nodes.objects.add_object(
        ua.NodeId(name, index), ua.QualifiedName(name, index), ua.NodeId(VISION_SYSTEM_TYPE, vision), False
    )
    management = await node.add_object(
        ua.NodeId(f"{name}.ResultManagement", index),
        ua.QualifiedName("ResultManagement", vision),
        ua.NodeId(RESULT_MANAGEMENT_TYPE, vision),
        False,
    )
    results = Results(types)

    async def get_result_by_id(_parent: ua.NodeId, number: ua.Variant, _timeout: ua.Variant) -> Any:
        result = results.get(number.Value.Id)
        if result is None:
            return ua.StatusCode(ua.StatusCodes.BadNotFound)
        return [
            ua.Variant(0, ua.VariantType.UInt32),
            ua.Variant(result, ua.VariantType.ExtensionObject),
            ua.Variant(0, ua.VariantType.Int32),
        ]

    server.link_method(await management.get_child(f"{vision}:GetResultById"), get_result_by_id)
    event_type = ua.NodeId(RESULT_READY_EVENT_TYPE, vision)
    # Clients subscribe to the station or, as most do, to the server, and asyncua passes no event upwards.
    own = await server.get_event_generator(event_type, node.nodeid)
    servers = await server.get_event_generator(event_type)
    servers.event.SourceNode, servers.event.SourceName = own.event.SourceNode, own.event.SourceName
    system = VisionSystem(server, node, results, [own, servers])
    await system.begin()
    return system


def _event(body: Mapping[str, Any]) -> _Event:
    return _Event(camera_values("result", body), moment(body["capture_time"]), body["replayed"])
