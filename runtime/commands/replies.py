"""Replies: what becomes of a command is told to whoever sent it. For any thread."""

import logging
from collections.abc import Mapping
from typing import Any

from runtime.commands.command import reply
from runtime.delivery.publisher import Publisher
from runtime.events.topics import Topics
from runtime.mqtt.message import Message

log = logging.getLogger(__name__)


class Replies:
    """Answers each command on the topic that it names, else on the station's."""

    def __init__(self, publisher: Publisher, topics: Topics) -> None:
        """Send through `publisher`; where the broker is away nobody waits for a reply."""
        self._publisher = publisher
        self._topic = topics.command_reply

    def done(self, message: Message, detail: Mapping[str, Any]) -> None:
        """Say that it was done, with the result."""
        self._publisher.send(reply(message, self._topic, detail=detail))

    def refuse(self, message: Message, error: str, detail: dict[str, Any] | None = None) -> None:
        """Say why it was not done, and what is known of it."""
        log.warning("command %s refused: %s", message.last_level, error)
        self._publisher.send(reply(message, self._topic, error=error, detail=detail))
