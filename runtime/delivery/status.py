"""The station's status: the retained message that says whether it is there, and what keeps it from judging."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.timestamps import rfc3339
from runtime.delivery.message import Outgoing
from runtime.events.encoding import dumps


@dataclass(frozen=True)
class Status:
    """Builds the messages; all of them are retained."""

    topic: str
    card: Mapping[str, Any]
    """What each of them tells beside the state."""

    def now(self, state: str, reason: str) -> Outgoing:
        """Give what is so from now on."""
        return self._message(state, reason, rfc3339(time.time()))

    def will(self) -> Outgoing:
        """Give what the broker says for a station that is gone."""
        return self._message("offline", "connection lost", None)

    def _message(self, state: str, reason: str, since: str | None) -> Outgoing:
        return Outgoing(self.topic, dumps({**self.card, "state": state, "reason": reason, "since": since}), retain=True)
