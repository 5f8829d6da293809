"""A station's messages that are none: told, and not once a part."""

import asyncio
from typing import Any

import pytest

from gateway import vision_system
from gateway.vision_system import VisionSystem
from runtime.delivery.message import Message


def hear(system: VisionSystem, path: str, payload: bytes) -> None:
    asyncio.run(system.hear(path, Message(f"plant/press-3/{path}", payload, retained=False)))


def test_what_is_ignored_again_and_again_is_told_of_each_topic_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody: Any = None
    system = VisionSystem(nobody, nobody, nobody, [])
    for number in range(500):
        hear(system, "camera/top/result", b"[1" + b" " * (number % 7))
        hear(system, "camera/a.b/result", b"{}")
    assert caplog.text.count("message ignored") == 2
    monkeypatch.setattr(vision_system, "TOLD_EVERY_S", 0.0)
    hear(system, "camera/top/result", b"[1")
    assert caplog.text.count("message ignored") == 3
