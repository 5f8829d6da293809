"""The watch over one connection: should it end, which of the messages may be at fault?

Those that are not answered, and those that were answered just now: some brokers answer a message that they do not take
and close the connection behind that. After a loss one message goes alone, and the next when the connection stands.
"""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from runtime.mqtt.losses import Losses
from runtime.mqtt.message import Outgoing
from runtime.outbox.row import StoredEvent

WARY_S = 5.0
"""For so long messages go one by one, behind a loss."""
STANDS_S = 0.02
"""A connection that stands for so long behind an answer does not end for that message."""


@dataclass(frozen=True)
class Sent:
    """A message over this connection."""

    message: Outgoing
    event: StoredEvent | None = None

    @property
    def position(self) -> int | None:
        """Of the event in the outbox; None: it is none."""
        return None if self.event is None else self.event.position


class Watch:
    """Belongs to the publisher's thread."""

    def __init__(self, losses: Losses) -> None:
        """Be wary where `losses` say that something was under way when the last connection ended."""
        self._losses = losses
        self._wary_until_s = time.monotonic() + WARY_S if losses.is_wary else 0.0
        self._answered: deque[tuple[float, Sent]] = deque()
        """When (monotonic clock), where that is so short ago that the connection may still end for it."""
        self._has_stood = False

    @property
    def is_wary(self) -> bool:
        """Whether messages go one by one."""
        return time.monotonic() < self._wary_until_s

    def room(self, room: int, under_way: int) -> int:
        """Say how many of the messages for which there is `room` may be sent while `under_way` are not answered."""
        self._settle()
        return min(room, 1 - under_way - len(self._answered)) if self.is_wary else room

    @property
    def due_s(self) -> float:
        """In how many seconds there may be more room; infinite where nobody waits for that."""
        if not self._answered or not self.is_wary:
            return float("inf")
        return max(0.0, self._answered[-1][0] + STANDS_S - time.monotonic())

    def answered(self, sent: Iterable[Sent]) -> None:
        """The broker took or refused these."""
        now_s = time.monotonic()
        self._answered.extend((now_s, each) for each in sent)

    def blamed(self, under_way: Iterable[Sent]) -> Sent | None:
        """The connection ended while these were not answered: say for which message; None: that is not known.

        Of a connection on which nothing was answered before nothing is known.
        """
        self._settle()
        suspects = [*under_way, *(sent for _, sent in self._answered)]
        self._losses.is_wary = bool(suspects)
        return suspects[0] if len(suspects) == 1 and self._has_stood else None

    def _settle(self) -> None:
        stands_s = time.monotonic() - STANDS_S
        while self._answered and self._answered[0][0] <= stands_s:
            sent = self._answered.popleft()[1]
            self._losses.stood(sent.message.topic, sent.position)
            self._has_stood = True
