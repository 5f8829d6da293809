"""One MQTT connection, from login to close. It belongs to one thread; nothing in it outlives the connection.

paho keeps unacknowledged messages only in memory and resends them on its own; here a connection is made new each time
and whatever was not acknowledged is read from the outbox again, so there is one store and one order.
"""

import itertools
import logging
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from runtime.mqtt.faults import Closed, NotOnTheseTerms, Refused, TakenOver, Unreachable
from runtime.mqtt.incoming import Incoming
from runtime.mqtt.login import Granted, Login, granted
from runtime.mqtt.message import Message, Outgoing
from runtime.mqtt.packets import login_properties, message_of, message_properties, why_too_large, will_properties
from runtime.mqtt.terms import BUSY, NO_QOS, NO_WILDCARDS, QOS_REMEDY, Terms
from runtime.mqtt.turn import send_at_once, turn
from runtime.mqtt.words import (
    CLOSED,
    CLOSED_AT_LOGIN,
    NO_ANSWER,
    TAKEN_OVER,
    UNANSWERED,
    why_ended,
    why_not_open,
    with_remedy,
    words_of,
)
from runtime.threads.bell import Bell

log = logging.getLogger(__name__)
NUMBERS = itertools.count(1)
UNANSWERED_S = 60.0
"""A message that is not acknowledged for so long never will be: brokers take milliseconds."""


class Connection:
    """Sends, hears and counts acknowledgements on the publisher's thread, until `close`. Made by a Connector."""

    def __init__(self, login: Login, will: Outgoing | None, terms: Terms, is_lasting: bool) -> None:
        """Prepare a connection."""
        self._broker = broker = login.broker
        self.terms = terms
        self.number = next(NUMBERS)
        """Of this connection, among all of this process."""
        self._is_lasting = is_lasting
        self.is_answered = False
        """Whether the broker took or refused anything that we published."""
        self._granted: Granted | None = None
        self._acknowledged: dict[int, int] = {}
        self._incoming = Incoming()
        self._awaited: dict[int, float] = {}
        """Since when (monotonic clock) what we published is not acknowledged, by its number; the oldest first."""
        self._lost: Unreachable | None = None
        self._rejected: list[tuple[int, int, str]] = []
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            login.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            clean_session=None if self._is_v5 else not is_lasting,
            manual_ack=True,
        )
        self._client.max_inflight_messages_set(broker.max_inflight)
        if will is not None and terms.denied_will is None:
            properties = will_properties(will) if self._is_v5 else None
            qos, retain = min(will.qos, terms.will_qos), will.retain and terms.retain
            self._client.will_set(will.topic, will.payload, qos, retain, properties)
        if broker.username:
            self._client.username_pw_set(broker.username, login.password)
        if login.tls:
            self._client.tls_set_context(login.tls)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_unsubscribe = self._on_unsubscribe
        self._client.on_message = self._on_message

    @property
    def room(self) -> int:
        """How many messages may be sent before the next acknowledgement."""
        window = self._granted.window if self._granted else None
        return min(self._broker.max_inflight, window or self._broker.max_inflight) - len(self._awaited)

    @property
    def is_clear(self) -> bool:
        """Whether the line has taken all that we sent."""
        return not self._client.want_write()

    def open(self) -> None:
        """Connect and log in. Raises Unreachable or Refused with the reason in words."""
        host, port = self._broker.address
        until_s = time.monotonic() + min(5.0, self._broker.connect_timeout_s)
        self._client.connect_timeout = until_s - time.monotonic()
        try:
            if self._is_v5:
                clean_start, properties = not self._is_lasting, login_properties(self._is_lasting)
                self._client.connect(
                    host, port, self._broker.keepalive_s, clean_start=clean_start, properties=properties
                )
            else:
                self._client.connect(host, port, self._broker.keepalive_s)
        except OSError as error:
            why, is_final = why_not_open(error, self._broker.tls is not None)
            raise (Refused if is_final else Unreachable)(why) from error
        send_at_once(self._client)
        while self._granted is None and self._lost is None:
            if time.monotonic() > until_s:
                raise Unreachable(NO_ANSWER)
            self._turn(until_s - time.monotonic(), None)
        if self._granted is None:
            self._give_up_login()
        answer, words = self.granted.reason, self.granted.words
        if answer.value in BUSY:
            raise Unreachable(f"{words}: it is tried again")
        if answer.value == NO_QOS:
            raise Refused(QOS_REMEDY)
        if answer.is_failure:
            raise NotOnTheseTerms(with_remedy(words, answer.value), answer.value)

    def _give_up_login(self) -> None:
        """Raise what is known of a login that was not answered."""
        lost = self._lost or Unreachable(CLOSED)
        if not isinstance(lost, Closed):  # what came is no answer to a login
            raise lost
        if self._broker.tls:  # TLS 1.3 refuses a certificate after the handshake, and not every broker says so
            raise Refused("it ends the connection where it would check our certificate; check broker.tls.cert_file")
        if self._is_v5:  # it would have said why
            raise Unreachable(CLOSED_AT_LOGIN)
        raise NotOnTheseTerms(CLOSED_AT_LOGIN, None)

    def publish(self, message: Outgoing) -> int:
        """Send. Returns the number under which `poll` reports the acknowledgement (QoS 0: that it went)."""
        properties = message_properties(message) if self._is_v5 else None
        retain = message.retain and self.terms.retain
        sent = self._client.publish(message.topic, message.payload, message.qos, retain, properties)
        if sent.rc or not sent.is_published():  # QoS 0 is out already, where the line takes it
            self._awaited[sent.mid] = time.monotonic()
        return sent.mid

    def unsubscribe(self, topic_filter: str) -> int:
        """Ask for no more of them. Returns the number under which `poll` reports that none come any more."""
        return self._client.unsubscribe(topic_filter)[1] or 0

    def objection(self, message: Outgoing) -> str | None:
        """Say why the broker would not take `message`; None where nothing is known against it."""
        largest = self.granted.largest_bytes
        return None if largest is None else why_too_large(message, largest)

    @property
    def granted(self) -> Granted:
        """What the broker answered to the login. Raises Unreachable before it did."""
        if self._granted is None:
            raise Unreachable(NO_ANSWER)
        return self._granted

    @property
    def tells_refusals(self) -> bool:
        """Whether the broker says of each message that it does not take it: since MQTT 5."""
        return self._is_v5

    @property
    def _is_v5(self) -> bool:
        return self._broker.protocol == 5 and self._broker.host is not None

    def acknowledge(self, message: Message) -> None:
        """Let the broker forget what it handed to us (see Incoming); over an earlier connection: it comes again."""
        if message.connection == self.number:
            self._settle(message.number)

    def _settle(self, number: int) -> None:
        for each in self._incoming.settle(number):
            self._client.ack(each, 1)

    def subscribe(self, topic_filter: str, qos: int = 1, is_told_retained: bool = False) -> int:
        """Ask for messages. Returns the number under which `poll` reports that they come, or `rejected` why not.

        `is_told_retained`: a message that was sent to be retained says so also where it comes just now; MQTT 5 only.
        """
        if not self.granted.takes_wildcards and not {"+", "#"}.isdisjoint(topic_filter):
            number = -1 - len(self._rejected)  # none of paho's
            self._rejected.append((number, NO_WILDCARDS, "it takes no subscriptions with wildcards"))
            return number
        options = SubscribeOptions(qos=qos, retainAsPublished=is_told_retained) if self._is_v5 else None
        return self._client.subscribe(topic_filter, 0 if options else qos, options)[1] or 0

    def received(self) -> list[Message]:
        """Return what came in since the last call, in order."""
        return self._incoming.take()

    def poll(self, timeout_s: float, wake: Bell | None) -> dict[int, int]:
        """Wait for acknowledgements, messages, or for `wake` to ring. Returns by number what is acknowledged.

        With MQTT 5's reason: of a subscription the QoS that it gets. Raises Unreachable where the connection is gone.
        """
        if self._lost is None:
            # Of QoS 0 we know the moment it is sent, before anything is to be waited for.
            self._turn(0.0 if self._acknowledged else timeout_s, wake)
        acknowledged, self._acknowledged = self._acknowledged, {}
        self._require_answers()
        if not acknowledged and not self._rejected and self._lost is not None:
            raise self._lost
        return acknowledged

    def rejected(self) -> list[tuple[int, int, str]]:
        """Return what the broker did not take since the last call: number, reason of MQTT 5, and in words."""
        rejected, self._rejected = self._rejected, []
        return rejected

    def _require_answers(self) -> None:
        """Give a broker up that keeps the connection and acknowledges nothing."""
        waited_s = time.monotonic() - next(iter(self._awaited.values()), float("inf"))
        if waited_s > UNANSWERED_S and not self._client.want_write():
            self._lost = self._lost or Unreachable(UNANSWERED.format(waited_s=UNANSWERED_S))

    def close(self) -> None:
        """Say goodbye where there still is somebody, and free the socket. The broker then keeps our will to itself."""
        self._client.disconnect()
        if self._client.socket() is not None:
            self._client.loop_write()
        self.drop()

    def end(self, is_told: bool) -> None:
        """Say goodbye where the broker has been told that we go; else let its will tell it."""
        if is_told:
            self.close()
        else:
            self.drop()

    def drop(self) -> None:
        """Free the socket without a word, so that the broker sends our will."""
        if (leftover := self._client.socket()) is not None:
            leftover.close()

    def _turn(self, timeout_s: float, wake: Bell | None) -> None:
        why = turn(self._client, timeout_s, wake)
        self._lost = self._lost or why  # of what it says itself, or of what we find

    def _on_connect(self, _client: Any, _userdata: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        self._granted = granted(reason, flags, properties)

    def _on_publish(self, _client: Any, _userdata: Any, number: int, reason: ReasonCode, properties: Any) -> None:
        # Of QoS 0 paho says so as soon as it is sent, before it is awaited: nobody has answered it.
        self.is_answered = self._awaited.pop(number, None) is not None or self.is_answered
        self._answer(number, reason, properties)

    def _on_subscribe(self, _client: Any, _userdata: Any, number: int, reasons: Any, properties: Any) -> None:
        self._answer(number, reasons[0], properties)

    def _on_unsubscribe(self, _client: Any, _userdata: Any, number: int, _reasons: Any, _properties: Any) -> None:
        self._acknowledged[number] = 0  # whatever it says: under 3.1.1 it says nothing

    def _answer(self, number: int, reason: ReasonCode, properties: Any) -> None:
        if reason.is_failure:
            self._rejected.append((number, reason.value, words_of(reason, properties)))
        else:
            self._acknowledged[number] = reason.value

    def _on_message(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        if message.qos:
            self._incoming.owe(message.mid)
        try:
            self._incoming.put(message_of(message, self.number))
        except UnicodeDecodeError:
            log.warning("a message is left out because its topic is no valid text; its sender has to correct that")
            self._settle(message.mid)

    def _on_disconnect(self, _client: Any, _userdata: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        is_told = flags.is_disconnect_packet_from_server
        why = why_ended(is_told, reason, properties)
        kind = TakenOver if is_told and reason.value == TAKEN_OVER else Closed if why == CLOSED else Unreachable
        self._lost = kind(why)
