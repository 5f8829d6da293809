"""A station's messages that are none: told, and not once a part."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua

from gateway import vision_system
from gateway.vision_system import VisionSystem
from runtime.mqtt.message import Message
from runtime.threads.seldom import EVERY_S, Seldom


def hear(system: VisionSystem, path: str, payload: bytes) -> None:
    asyncio.run(system.hear(path, Message(f"plant/press-3/{path}", payload, retained=False)))


def test_what_is_ignored_again_and_again_is_told_of_each_topic_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody: Any = None
    now_s = 0.0
    monkeypatch.setattr(vision_system, "Seldom", lambda: Seldom(lambda: now_s))
    system = VisionSystem(nobody, nobody, nobody, [])
    for number in range(500):
        hear(system, "camera/top/result", b"[1" + b" " * (number % 7))
        hear(system, "camera/a.b/result", b"{}")
    assert caplog.text.count("message ignored") == 2
    now_s = EVERY_S
    hear(system, "camera/top/result", b"[1")
    assert caplog.text.count("message ignored") == 3


class Nothing:
    """In place of a server and its variables: it keeps what the state machine's texts were set to."""

    nodeid = ua.NodeId("press-3", 3)

    def __init__(self, *_given: object) -> None:
        """There is nothing."""
        self.states: list[str] = []

    async def write(self, *_told: object) -> None:
        """Nobody reads it."""

    doubt = write

    async def write_attribute_value(self, node: ua.NodeId, value: ua.DataValue) -> None:
        if str(node.Identifier).endswith("CurrentState"):
            self.states.append(value.Value.Value.Text)


def test_a_station_whose_status_was_cleared_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision_system, "Variables", Nothing)
    server: Any = Nothing()
    system = VisionSystem(server, server, server, [])
    hear(system, "status", b'{"state": "online", "reason": "", "version": "1", "boot_id": "b"}')
    hear(system, "status", b"")
    assert server.states == ["Operational", "Halted"]


def test_what_a_station_told_before_all_was_subscribed_for_stays_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision_system, "Variables", Nothing)
    server: Any = Nothing()
    system = VisionSystem(server, server, server, [])
    online = b'{"state": "online", "reason": "", "version": "1", "boot_id": "b"}'
    asyncio.run(system.link(is_up=False))
    hear(system, "status", online)
    asyncio.run(system.link(is_up=True))
    assert server.states == ["Error", "Operational"]


class Nodes:
    """A server and a node to which variables are added."""

    nodeid = SimpleNamespace(Identifier="press-3", NamespaceIndex=3)

    def __init__(self) -> None:
        self.folders: list[str] = []

    async def add_folder(self, _place: object, name: Any) -> "Nodes":
        self.folders.append(name.Name)
        return self

    async def add_variable(self, *_args: object, **_kinds: object) -> None:
        """It has it."""

    async def write_attribute_value(self, _place: object, _value: object) -> None:
        """It has it."""


class Doubtful:
    """In place of variables: whether they are the last known ones."""

    def __init__(self, made: "list[Doubtful]") -> None:
        self.is_doubted = False
        made.append(self)

    async def add(self, *_where: object) -> None:
        """Nobody looks for them."""

    async def write(self, *_told: object, is_current: bool) -> None:
        self.is_doubted = not is_current

    async def doubt(self) -> None:
        self.is_doubted = True


def test_a_camera_that_a_station_has_no_more_is_told_as_the_last_known(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Doubtful] = []
    monkeypatch.setattr(vision_system, "Variables", lambda _server: Doubtful(made))
    nodes: Any = Nodes()
    system = VisionSystem(nodes, nodes, nodes, [])
    for camera in ("gone", "there"):
        hear(system, f"camera/{camera}/status", b'{"state": "streaming", "reason": ""}')
    for leaf in ("last", "counters", "status"):
        hear(system, f"camera/gone/{leaf}", b"")
        hear(system, f"camera/never-seen/{leaf}", b"")
    assert nodes.folders == ["gone", "there"]
    assert [each.is_doubted for each in made] == [False, True, False], "the station's own, and the cameras'"


def test_cameras_that_somebody_invents_get_nodes_up_to_a_bound_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vision_system, "MOST_CAMERAS", 3)
    nodes: Any = Nodes()
    system = VisionSystem(nodes, nodes, nodes, [])
    status = b'{"state": "streaming", "reason": ""}'
    for number in [*range(50), 1]:
        hear(system, f"camera/invented-{number}/status", status)
    assert nodes.folders == ["invented-0", "invented-1", "invented-2"]
    assert caplog.text.count("camera ignored station=press-3 camera=invented-3 reason='it has 3 cameras'") == 1
    assert caplog.text.count("ignored") == 1
