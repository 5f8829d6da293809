"""The station's status: the retained message that says whether it is there, and what keeps it from judging."""

import time
from collections.abc import Mapping
from typing import Any

from core.timestamps import rfc3339
from runtime.events.encoding import dumps
from runtime.mqtt.message import Outgoing


class Status:
    """Builds the messages; all of them are retained."""

    def __init__(self, topic: str, facts: Mapping[str, Any]) -> None:
        """`facts` is what every message tells beside the state."""
        self.topic = topic
        self.trouble = ""
        """What keeps the station from judging; empty: nothing does."""
        self._facts = facts

    def online(self) -> Outgoing:
        """Say that we are here."""
        return self._message("online", self.trouble, rfc3339(time.time()))

    def offline(self, reason: str) -> Outgoing:
        """Say that we go."""
        return self._message("offline", reason, rfc3339(time.time()))

    def will(self) -> Outgoing:
        """What the broker says for us, at a time that we do not know."""
        return self._message("offline", "connection lost", None)

    def _message(self, state: str, reason: str, since: str | None) -> Outgoing:
        body = dumps({**self._facts, "state": state, "reason": reason, "since": since})
        return Outgoing(self.topic, body, retain=True)
