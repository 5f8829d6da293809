"""Losses: at which messages connections ended. Some brokers close them at a message that they do not take.

The first event of a topic at which the connection ends again and again is left out, then each at which it ends before
it has stood behind another one of that topic. Where it ends at several in a row, it is the topic that is not taken.
"""

import time
from collections import Counter

IN_A_ROW = 3
"""Connections that end at one topic: a broker or a line that fails does so at any."""
OF_A_TOPIC = 6
"""So many, and it is not the event but its topic."""
SELDOM_S = 600.0
"""Each try costs the connection, so it is made so long after the last one; of several events by turns."""
ENDS = (
    "the connection ends whenever it is sent; check the broker's access list, and how large a message it takes "
    "(mosquitto: `message_size_limit`)"
)


class Losses:
    """Outlives the connections. Belongs to the publisher's thread."""

    def __init__(self) -> None:
        """Nothing was lost yet."""
        self.is_wary = False
        """Whether anything was under way when the last connection ended."""
        self._in_a_row = Counter[str]()
        """By topic."""
        self._until_s: dict[int, float] = {}
        """By position: until when an event is left out."""

    def lost(self, topic: str, position: int | None) -> bool:
        """Count a connection that ended at this message. True: leave its topic alone.

        `position` is the event's; None: it is none.
        """
        self._in_a_row[topic] += 1
        in_a_row, now_s = self._in_a_row[topic], time.monotonic()
        is_known = position in self._until_s
        # What was not tried for long when it might have been is no longer in the outbox.
        self._until_s = {
            each: until_s for each, until_s in self._until_s.items() if each != position and now_s < until_s + SELDOM_S
        }
        if position is not None and (is_known or in_a_row >= IN_A_ROW):
            self._until_s[position] = now_s + SELDOM_S * (len(self._until_s) + 1)
        return in_a_row >= (IN_A_ROW if position is None else OF_A_TOPIC)

    def stood(self, topic: str, position: int | None) -> None:
        """The connection stood behind this message."""
        self._in_a_row.pop(topic, None)
        if position in self._until_s:  # somebody mended the broker: the others may be tried now, too
            self._until_s = {each: 0.0 for each in self._until_s if each != position}

    def objection(self, position: int | None) -> str | None:
        """Say why an event is not to be sent now; None: it may be."""
        return ENDS if position is not None and time.monotonic() < self._until_s.get(position, 0.0) else None
