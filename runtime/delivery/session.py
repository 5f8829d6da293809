"""A session: what is sent and heard on one connection, from login to close. It belongs to the publisher's thread."""

import time
from collections.abc import Callable, Sequence

from runtime.delivery.delivered import Delivered
from runtime.delivery.outbound import Outbound
from runtime.delivery.reading import Reading
from runtime.delivery.watch import Sent, Watch
from runtime.mqtt.connection import Connection
from runtime.mqtt.echo import Echo
from runtime.mqtt.faults import Unreachable
from runtime.mqtt.listening import Listening
from runtime.mqtt.message import Outgoing, Subscription, event_message
from runtime.mqtt.refusals import QUOTA_EXCEEDED, Refusals
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import StoredEvent

RETAINED_EVERY_S = 0.2
"""Retained topics change with every part; their newest value is sent this often."""
REPLAYED_AFTER_S = 5.0
"""An event that waited longer than this in the outbox is marked as replayed."""
GOODBYE_S = 0.3
"""How long the broker is given to acknowledge that we go offline."""


class Session:
    """Sends events in the outbox's order, and removes them when the broker has acknowledged them."""

    def __init__(
        self,
        connection: Connection,
        outbox: Outbox,
        outbound: Outbound,
        refusals: Refusals,
        subscriptions: Sequence[Subscription],
        delivered: Delivered,
        on_acknowledged: Callable[[Outgoing], None],
        is_trusted: bool = False,
    ) -> None:
        """Subscribe for what is to be heard; events that the broker has taken count as `delivered`.

        `on_acknowledged` is told of every message, events too, in the order in which the broker has taken them.
        `is_trusted`: it is our own broker, which hands on what it acknowledges.
        """
        self._connection = connection
        self._outbox = outbox
        self._outbound = outbound
        self._refusals = refusals
        self._delivered = delivered
        self._on_acknowledged = on_acknowledged
        self._echo = None if is_trusted or connection.tells_refusals else Echo(connection)
        self._sent: dict[int, Sent] = {}
        self._reading = Reading(outbox, refusals)
        self._retained_s = 0.0
        self._watch = Watch(refusals.losses)
        self._listening = Listening(connection, refusals, subscriptions)
        self._listening.ask()

    def mark(self, message: Outgoing) -> None:
        """Take a message that we send for the end of what was kept for us: it comes back behind all of that."""
        self._listening.mark(message)

    def send(self, at_once: bool) -> bool:
        """Send what there is room for, retained topics now and then or `at_once`. True: all that can be is settled."""
        self._listening.ask()
        self._outbound.leave_alone(self._refusals.left_alone)
        if at_once or self._watch.is_wary or time.monotonic() - self._retained_s >= RETAINED_EVERY_S:
            self._retained_s = time.monotonic()
            self._send_all(self._outbound.take_retained)
        while (passing := self._take_passing()) is not None:
            self._publish(Sent(passing))  # now or never
        for message in self._outbound.take_done():
            self._connection.acknowledge(message)
        self._reading.look_back()
        self._send_events()
        self._send_all(self._outbound.again.take)
        if not self._sent:
            self._outbound.again.settled()
        return self._outbound.settle(lambda: bool(self._sent or not self._reading.is_through))

    @property
    def is_answered(self) -> bool:
        """Whether the broker took or refused anything that we sent: some keep a connection and never do."""
        return self._connection.is_answered

    @property
    def due_s(self) -> float:
        """In how many seconds `send` has to be called again, where nothing else happens."""
        due_s = self._retained_s + RETAINED_EVERY_S - time.monotonic() if self._outbound.has_unsent else 1.0
        return min(due_s, self._reading.due_s, self._watch.due_s)

    def collect(self, timeout_s: float) -> None:
        """Wait for acknowledgements and messages, or until something new waits. Raises Unreachable or Refused."""
        acknowledged = self._connection.poll(timeout_s, self._outbound.bell)
        answered = {number: self._sent.pop(number) for number in acknowledged if number in self._sent}
        for number, sent in answered.items():
            if sent.event is not None:
                self._refusals.gave(sent.message.topic, acknowledged[number])
        taken = [*answered.values()]
        self._watch.answered(taken)
        delivered = [sent.event for sent in taken if sent.event is not None]
        if delivered:
            self._outbound.again.keep(delivered)
            self._delivered.add(delivered)
            self._outbox.remove(delivered)
            self._reading.took(delivered)
        for sent in taken:
            self._on_acknowledged(sent.message)
        for topic in {sent.message.topic for sent in taken} & self._refusals.reasons.keys():
            if not self._reading.is_refused(topic):
                self._refusals.took(topic)
        self._listening.granted(acknowledged)
        self._hear()
        for number, reason, words in self._connection.rejected():
            if (refused := self._sent.pop(number, None)) is not None:
                self._watch.answered([refused])
                self._refuse(refused, reason, words)
            else:
                self._listening.refused(number, words)

    def lost(self) -> None:
        """The connection ended: where that may be for a message, remember which."""
        sent = self._watch.blamed(self._sent.values())
        if sent is None or not self._refusals.losses.lost(sent.message.topic, sent.position):
            return
        if sent.event is None and not sent.message.retain:
            self._outbound.again.end(f"the connection ends at one of {sent.message.topic}")
        else:
            self._refusals.refuse_silently(sent.message.topic)

    def say_goodbye(self, status: Outgoing) -> bool:
        """Tell that we go offline, and say whether the broker took that: a clean end sends no will."""
        is_told = self._tell_last(status)
        if self._echo is not None:
            self._echo.end()
        return is_told

    def _tell_last(self, status: Outgoing) -> bool:
        """Send it when there is room, and wait for what becomes of it; False where it is not taken in time."""
        until_s, is_sent = time.monotonic() + GOODBYE_S, False
        while (left_s := until_s - time.monotonic()) > 0:
            if not is_sent and self._connection.room > 0:
                self._publish(Sent(status))
                is_sent = True
            if is_sent and all(each.message is not status for each in self._sent.values()):
                return status.topic not in self._refusals.reasons
            self.collect(left_s)
        return False

    def _hear(self) -> None:
        """Hand on what came in, except for what we listen to ourselves."""
        received = self._connection.received()
        if self._echo is not None:
            self._echo.hear(received)
        self._listening.hand_on(received)

    @property
    def _room(self) -> int:
        """How many messages may be sent now."""
        return self._watch.room(self._connection.room, len(self._sent))

    def _take_passing(self) -> Outgoing | None:
        """A verdict must not wait until the broker has acknowledged events."""
        has_room = self._connection.room > 0
        return self._outbound.take_passing(has_room) if has_room or self._connection.is_clear else None

    def _send_all(self, take: Callable[[], Outgoing | None]) -> None:
        while self._room > 0 and (message := take()) is not None:
            self._publish(Sent(message))

    def _send_events(self) -> None:
        under_way = {sent.event.position for sent in self._sent.values() if sent.event}
        while (room := self._room) > 0 and not self._reading.is_through:
            for event in self._reading.read(room, under_way):
                message = _stamped(event, self._outbox.age_s(event), self._outbox.max_age_s)
                self._publish(Sent(message, event))

    def _publish(self, sent: Sent) -> None:
        objection = self._refusals.losses.objection(sent.position) or self._connection.objection(sent.message)
        if objection is not None:
            self._refuse(sent, 0, objection)
            return
        if sent.event is not None and self._echo is not None:
            self._echo.listen(sent.event.topic)
        self._sent[self._connection.publish(sent.message)] = sent

    def _refuse(self, sent: Sent, reason: int, words: str) -> None:
        """Set aside what the broker does not take, tell it, and go on with the rest."""
        topic = sent.message.topic
        if sent.event is None and not sent.message.retain:
            self._refusals.tell_once(topic, words)
        elif reason == QUOTA_EXCEEDED:
            raise Unreachable(f"{words}: it is tried again")
        elif self._refusals.is_of_topic(reason) or sent.event is None:
            self._refusals.refuse_topic(topic, words, reason)
            if sent.event is None:
                self._outbound.put_back(topic)
                self._outbound.leave_alone(self._refusals.left_alone)  # or it is taken again at once, for ever
        else:
            self._reading.pass_over(sent.event)
            self._refusals.refuse(topic, words)


def _stamped(event: StoredEvent, waited_s: float, max_age_s: float) -> Outgoing:
    """An event as it goes out now; the broker need not keep it for longer than the outbox would."""
    return event_message(event.topic, event.body, waited_s > REPLAYED_AFTER_S, expiry_s=max_age_s - waited_s)
