"""Outbound: what waits in memory for the broker, beside the outbox. Any thread puts, the publisher takes."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection

from runtime.delivery.resending import Resending
from runtime.mqtt.message import Message, Outgoing
from runtime.outbox.journal import Journal
from runtime.threads.bell import Bell

log = logging.getLogger(__name__)
MOST_PASSING = 1000
"""Messages of use now or never that may wait for the broker."""


class Outbound:
    """The newest values of retained topics, messages that are of use now or never, and whether all is acknowledged."""

    def __init__(self, journal: Journal | None = None) -> None:
        """`journal` holds what may be sent again; None: nothing."""
        self.again = Resending(journal)
        self._retained: dict[str, bytes] = {}
        self._unsent: dict[str, None] = {}
        self._left_alone: frozenset[str] = frozenset()
        self._passing: deque[Outgoing] | None = None
        """None: there is no connection."""
        self._is_crowded = False
        self._done: deque[Message] = deque()
        self._changed = threading.Lock()
        self._idle = threading.Event()
        self.bell = Bell()
        """Rings when something new waits."""

    def retain(self, topic: str, payload: bytes) -> None:
        """Set the newest value of a retained topic."""
        with self._changed:
            self._retained[topic] = payload
            is_known = topic in self._unsent
            self._unsent[topic] = None
            self._idle.clear()
        if not is_known:  # whoever sends knows already that there is a newer value, and takes the newest
            self.bell.ring()

    def send(self, message: Outgoing) -> None:
        """Send something that is of use now or never: it is dropped where there is no connection."""
        with self._changed:
            if self._passing is None:
                return
            if len(self._passing) >= MOST_PASSING:
                self._passing.popleft()
                if not self._is_crowded:
                    told = "%d replies, verdicts and so on wait for the broker: older ones are dropped"
                    log.warning(told, MOST_PASSING)
                self._is_crowded = True
            self._passing.append(message)
            self._idle.clear()
        self.bell.ring()

    def acknowledge(self, message: Message) -> None:
        """The result of `message` is on disk: the broker need not keep it any longer."""
        self._done.append(message)
        self.bell.ring()

    def take_done(self) -> list[Message]:
        """Give the messages that are to be acknowledged."""
        return [self._done.popleft() for _ in range(len(self._done))]

    def notify(self) -> None:
        """There are new events in the outbox."""
        with self._changed:
            self._idle.clear()
        self.bell.ring()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until everything is acknowledged; False where that takes longer than `timeout_s`."""
        return self._idle.wait(timeout_s)

    @property
    def has_unsent(self) -> bool:
        """Whether a retained topic has a value that was not sent, and may be."""
        with self._changed:
            return not self._left_alone.issuperset(self._unsent)

    def leave_alone(self, topics: Collection[str]) -> None:
        """Give nothing of these retained topics, until the next call."""
        self._left_alone = frozenset(topics)

    def put_back(self, topic: str) -> None:
        """The broker did not take the retained `topic`: its newest value is to be sent again."""
        with self._changed:
            self._unsent[topic] = None

    def begin_again(self, say_first: Callable[[], Outgoing]) -> Outgoing:
        """Of a new connection: every retained topic is to be sent; what was for the old one is gone.

        Gives what is said first, which is asked for here: what is retained of it in this moment is the newer word.
        """
        with self._changed:
            first = say_first()
            self._retained[first.topic] = first.payload
            self._unsent = dict.fromkeys([first.topic, *self._retained])
            self._passing = deque()
        self.again.begin_again()
        return first

    def disconnected(self) -> None:
        """Drop what is of use now or never, until the next connection."""
        with self._changed:
            self._passing = None

    def take_retained(self) -> Outgoing | None:
        """Give a retained topic's newest value that was not sent."""
        with self._changed:
            topic = next((each for each in self._unsent if each not in self._left_alone), None)
            if topic is None:
                return None
            del self._unsent[topic]
            return Outgoing(topic, self._retained[topic], retain=True)

    def take_passing(self, has_room: bool) -> Outgoing | None:
        """Give the next message that is of use now or never; without room, of those that go unacknowledged (QoS 0)."""
        with self._changed:
            if not self._passing:
                self._is_crowded = False
                return None
            passing = next((each for each in self._passing if has_room or each.qos == 0), None)
            if passing is not None:
                self._passing.remove(passing)
            return passing

    def settle(self, is_busy: Callable[[], bool]) -> bool:
        """Say whether nothing waits here, nor elsewhere by `is_busy`; whoever waits for that is told."""
        with self._changed:
            is_done = self._left_alone.issuperset(self._unsent) and not self.again.is_under_way
            is_idle = is_done and not (self._passing or is_busy())
            if is_idle:
                self._idle.set()
            else:
                self._idle.clear()
        return is_idle

    def close(self) -> None:
        """Nobody takes any more."""
        self.bell.close()
