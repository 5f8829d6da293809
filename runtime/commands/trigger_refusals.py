"""Trigger refusals: whoever told of a part that has no event is answered with the reason. For any thread."""

import json
import time
from collections.abc import Sequence
from typing import Any

from core.timestamps import rfc3339
from runtime.commands.command import answer, as_text
from runtime.commands.trigger_payload import LONGEST_BYTES
from runtime.delivery.publisher import Publisher
from runtime.events.encoding import dumps
from runtime.events.topics import Topics
from runtime.mqtt.message import Message

LONGEST = 256
"""Characters of an id that is told again."""


class TriggerRefusals:
    """Answers each trigger that gives no event: on its response topic (MQTT 5) where it has one, or the camera's."""

    def __init__(self, publisher: Publisher, topics: Topics) -> None:
        """Send through `publisher`; where the broker is away nobody waits for an answer."""
        self._publisher = publisher
        self._topics = topics

    def tell(self, camera: str, message: Message, reason: str, event_ids: Sequence[str]) -> None:
        """Say why `message` gives no event, and which it gave before."""
        sent = _content(message.payload)
        ids = {key: _readable(sent.get(key)) for key in ("part_id", "id")}
        told = {"camera": camera, "reason": reason, **ids, "event_ids": [*event_ids]}
        body = dumps({"time": rfc3339(time.time()), **told})
        self._publisher.send(answer(message, self._topics.trigger_refused(camera), body))


def _content(payload: bytes) -> dict[str, Any]:
    if len(payload) > LONGEST_BYTES:
        return {}
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _readable(value: Any) -> str | None:
    """Give an id as it was sent; None for one that no event could carry."""
    text = as_text(value)
    is_told = isinstance(text, str) and len(text) <= LONGEST
    return text.encode(errors="replace").decode() if is_told else None
