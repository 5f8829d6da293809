"""The backlog: what the broker kept for us while we were away. It comes first, and when it comes tells nothing."""

import time
from collections.abc import Sequence
from dataclasses import replace

from runtime.mqtt.message import Message

THROUGH_S = 5.0
"""After this long nothing that was kept is still to come, even where the broker does not let us see the mark."""


class Backlog:
    """Whether what comes on one connection was kept for us. Belongs to the publisher's thread."""

    def __init__(self, is_resumed: bool) -> None:
        """`is_resumed`: the broker knew our session, and may have kept something."""
        self._until_s = time.monotonic() + THROUGH_S if is_resumed else 0.0
        self._mark: tuple[str, bytes] | None = None

    @property
    def is_coming(self) -> bool:
        """Whether something may still come."""
        return time.monotonic() < self._until_s

    @property
    def unseen_mark(self) -> str | None:
        """The mark's topic, where it should have come back by now and has not."""
        return self._mark[0] if self._mark is not None and 0.0 < self._until_s <= time.monotonic() else None

    def ends_with(self, topic: str, payload: bytes) -> None:
        """Take a message that we send ourselves for the end: it comes back behind all that was kept."""
        self._mark = topic, payload

    def tell_apart(self, received: Sequence[Message]) -> list[Message]:
        """Give the messages, and say of each whether it was kept."""
        told = []
        for message in received:
            if self._mark == (message.topic, message.payload) and not message.retained:
                self._until_s = 0.0
            told.append(replace(message, was_kept=True) if self.is_coming else message)
        return told
