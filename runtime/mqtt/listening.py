"""Listening: what is asked of the broker on one connection, and who hears it."""

import time
from collections.abc import Mapping, Sequence

from paho.mqtt.client import topic_matches_sub

from runtime.mqtt.backlog import Backlog
from runtime.mqtt.connection import Connection
from runtime.mqtt.message import Message, Outgoing, Subscription
from runtime.mqtt.refusals import Refusals
from runtime.mqtt.words import NOT_KEPT, UNSEEN

ANSWERS_S = 30.0
"""A subscription that is not answered for so long never will be: brokers take milliseconds."""
SUBSCRIPTION_UNANSWERED = f"it has not answered that we subscribe for {ANSWERS_S:.0f} s"


class Listening:
    """Belongs to the publisher's thread."""

    def __init__(self, connection: Connection, refusals: Refusals, subscriptions: Sequence[Subscription]) -> None:
        """Nothing is asked for yet."""
        self._connection = connection
        self._refusals = refusals
        self._subscriptions = subscriptions
        self._backlog = Backlog(connection.granted.is_resumed)
        self._unasked = list(subscriptions)
        self._asked: dict[int, tuple[Subscription, float]] = {}
        """What was asked for and is not answered, by its number, and until when an answer is waited for."""

    def mark(self, message: Outgoing) -> None:
        """Take a message that we send for the end of what was kept for us: it comes back behind all of that."""
        if self._backlog.is_coming and any(each.is_lasting for each in self._subscriptions):
            self._backlog.ends_with(message.topic, message.payload)
            self._connection.subscribe(message.topic)

    def ask(self) -> None:
        """Subscribe, and again a while after that was refused, or not answered."""
        now_s = time.monotonic()
        for number in [number for number, (_, until_s) in self._asked.items() if until_s < now_s]:
            self.refused(number, SUBSCRIPTION_UNANSWERED)
        if (topic := self._backlog.unseen_mark) is not None:
            self._refusals.limit(topic, UNSEEN)
        if not self._unasked:
            return
        left_alone = self._refusals.left_alone
        for each in [each for each in self._unasked if each.topic_filter not in left_alone]:
            self._unasked.remove(each)
            # A command that is kept by the broker may be old; a trigger that is sent to be kept may well be of now.
            number = self._connection.subscribe(each.topic_filter, int(each.is_lasting), not each.is_lasting)
            self._asked[number] = each, time.monotonic() + ANSWERS_S

    def granted(self, reasons: Mapping[int, int]) -> None:
        """The broker took what has one of these numbers, perhaps a subscription: then the reason is its QoS."""
        for number, qos in reasons.items():
            if (asked := self._asked.pop(number, None)) is not None:
                self._refusals.took(asked[0].topic_filter)
                if asked[0].is_lasting and qos == 0:
                    self._refusals.limit(asked[0].topic_filter, NOT_KEPT)

    def refused(self, number: int, words: str) -> None:
        """The broker did not take what has this number, perhaps a subscription."""
        if (asked := self._asked.pop(number, None)) is not None:
            self._unasked.append(asked[0])
            self._refusals.refuse_subscription(asked[0].topic_filter, words)

    def hand_on(self, received: Sequence[Message]) -> None:
        """Hand on what came in; what nobody has to store first is acknowledged at once."""
        heard = self._backlog.tell_apart(received)
        taken: set[int] = set()
        for each in self._subscriptions:
            mine = [message for message in heard if topic_matches_sub(each.topic_filter, message.topic)]
            if mine:
                each.handler(mine)
            taken.update(message.number for message in mine if each.is_lasting)
        for message in heard:
            if message.number not in taken:
                self._connection.acknowledge(message)
