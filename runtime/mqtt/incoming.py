"""Incoming: what the broker handed to us over one connection, and the order in which that is acknowledged. Pure.

MQTT has it in the order of the messages (4.6), and some brokers end the connection at another one. Yet a trigger may
wait long for its frame, and brokers hand over 20 messages and then wait: so it holds up the answers to a few behind it.
"""

from itertools import takewhile

from runtime.mqtt.message import Message

MOST_HELD = 4
"""Answers that wait for an earlier one: far fewer than any broker lets be without an answer."""


class Incoming:
    """Belongs to the connection's thread."""

    def __init__(self) -> None:
        """Nothing came yet."""
        self._received: list[Message] = []
        self._owed: dict[int, bool] = {}
        """By the numbers of what is not acknowledged, the oldest first: whether it may be."""

    def owe(self, number: int) -> None:
        """Note that a message came which has to be acknowledged; once where it comes again meanwhile."""
        self._owed.setdefault(number, False)

    def put(self, message: Message) -> None:
        """Keep a message until somebody takes it."""
        self._received.append(message)

    def take(self) -> list[Message]:
        """Give what came since the last call, in order."""
        received, self._received = self._received, []
        return received

    def settle(self, number: int) -> list[int]:
        """Note that a message may be acknowledged; give the numbers of those that are to be now, in this order."""
        if number not in self._owed:  # it came twice, and was
            return []
        self._owed[number] = True
        due = [*takewhile(self._owed.__getitem__, self._owed)]
        held = [each for each, is_done in [*self._owed.items()][len(due) :] if is_done]
        due += held * (len(held) >= MOST_HELD)
        for each in due:
            del self._owed[each]
        return due
