"""One MQTT connection, from login to close. It belongs to one thread; nothing in it outlives the connection.

paho keeps unacknowledged messages only in memory and resends them on its own; here a connection is made new each time
and whatever was not acknowledged is read from the outbox again, so there is one store and one order.
"""

import itertools
import logging
import socket
import ssl
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from runtime.delivery.login import Granted, Login, granted
from runtime.delivery.message import Message, Outgoing
from runtime.delivery.packets import login_properties, message_properties, packet_bytes
from runtime.delivery.readiness import wait_ready
from runtime.delivery.terms import BUSY, NO_QOS, QOS_REMEDY, Terms
from runtime.threads.bell import Bell

log = logging.getLogger(__name__)
NUMBERS = itertools.count(1)


class Unreachable(Exception):  # noqa: N818
    """No broker answers there, or the connection was lost; trying again may help."""


class TakenOver(Unreachable):
    """Another client logged in with our client id, and the broker gave it our place. MQTT 5 only."""


class Refused(Exception):  # noqa: N818
    """The broker answers and does not want us: login, certificate, protocol version or topic. A person has to act."""


class NotOnTheseTerms(Refused):
    """The broker refused the login, for a reason in numbers of MQTT 5; None: it gave none."""

    def __init__(self, words: str, reason: int | None) -> None:
        super().__init__(words)
        self.reason = reason


class Connection:
    """Sends, hears and counts acknowledgements on the publisher's thread, until `close`. Made by a Connector."""

    def __init__(self, login: Login, will: Outgoing | None, terms: Terms, is_lasting: bool) -> None:
        """Prepare a connection."""
        self._broker = broker = login.broker
        self.terms = terms
        self.number = next(NUMBERS)
        """Of this connection, among all of this process."""
        self._is_lasting = is_lasting
        self._granted: Granted | None = None
        self._acknowledged: list[int] = []
        self._received: list[Message] = []
        self._subscribed: dict[int, str] = {}
        self._lost: str | None = None
        self._rejected: list[tuple[int, int, str]] = []
        self._unacknowledged = 0
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            login.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            clean_session=None if self._is_v5 else not is_lasting,
            manual_ack=True,
        )
        self._client.max_inflight_messages_set(broker.max_inflight)
        if will is not None and terms.will:
            self._client.will_set(will.topic, will.payload, min(will.qos, terms.will_qos), will.retain and terms.retain)
        if broker.username:
            self._client.username_pw_set(broker.username, login.password)
        if login.tls:
            self._client.tls_set_context(login.tls)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    @property
    def room(self) -> int:
        """How many messages may be sent before the next acknowledgement."""
        window = self._granted.window if self._granted else None
        return min(self._broker.max_inflight, window or self._broker.max_inflight) - self._unacknowledged

    def open(self) -> None:
        """Connect and log in. Raises Unreachable or Refused with the reason in words."""
        host, port = self._broker.address
        until_s = time.monotonic() + min(5.0, self._broker.connect_timeout_s)
        self._client.connect_timeout = until_s - time.monotonic()
        try:
            if self._is_v5:
                properties = login_properties() if self._is_lasting else None
                clean_start = not self._is_lasting
                self._client.connect(
                    host, port, self._broker.keepalive_s, clean_start=clean_start, properties=properties
                )
            else:
                self._client.connect(host, port, self._broker.keepalive_s)
        except ssl.SSLCertVerificationError as error:
            raise Refused(f"certificate not trusted ({error.verify_message}); check broker.tls.ca_file") from error
        except OSError as error:
            raise Unreachable(error.strerror or str(error)) from error
        # Small messages go at once instead of waiting for the acknowledgement of earlier ones (Nagle).
        self._option(socket.TCP_NODELAY)
        while self._granted is None and self._lost is None:
            if time.monotonic() > until_s:
                raise Unreachable("it does not answer the login")
            self._turn(until_s - time.monotonic(), None)
        if self._granted is None:
            if self._broker.tls:  # TLS 1.3 refuses a certificate after the handshake, and not every broker says so
                raise Refused("it ends the connection where it would check our certificate; check broker.tls.cert_file")
            closed = f"it closed the connection during the login ({self._lost})"
            if self._is_v5:  # it would have said why
                raise Unreachable(closed)
            raise NotOnTheseTerms(closed, None)
        answer = self._granted.reason
        if answer.value in BUSY:
            raise Unreachable(f"{answer}: it is tried again")
        if answer.value == NO_QOS:
            raise Refused(QOS_REMEDY)
        if answer.is_failure:
            raise NotOnTheseTerms(_advice(str(answer)), answer.value)

    def publish(self, message: Outgoing) -> int:
        """Send. Returns the number under which `poll` reports the acknowledgement (QoS 0: that it went)."""
        self._unacknowledged += 1
        properties = message_properties(message) if self._is_v5 else None
        retain = message.retain and self.terms.retain
        return self._client.publish(message.topic, message.payload, message.qos, retain, properties).mid

    def unsubscribe(self, topic_filter: str) -> None:
        """Ask for no more of them."""
        self._client.unsubscribe(topic_filter)

    def objection(self, message: Outgoing) -> str | None:
        """Say why the broker would not take `message`; None where nothing is known against it."""
        largest = self.granted.largest_bytes
        if largest is None:
            return None
        size = packet_bytes(message, message_properties(message) if self._is_v5 else None)
        if size <= largest:
            return None
        return f"packets of {size // 1000 + 1} kB: it takes no more than {largest} bytes (mosquitto: `max_packet_size`)"

    @property
    def granted(self) -> Granted:
        """What the broker answered to the login. Raises Unreachable before it did."""
        if self._granted is None:
            raise Unreachable("it does not answer the login")
        return self._granted

    @property
    def tells_refusals(self) -> bool:
        """Whether the broker says of each message that it does not take it: since MQTT 5."""
        return self._is_v5

    @property
    def _is_v5(self) -> bool:
        return self._broker.protocol == 5 and self._broker.host is not None

    def acknowledge(self, message: Message) -> None:
        """Let the broker forget what it handed to us; over an earlier connection: it comes again."""
        if message.number and message.connection == self.number:
            self._client.ack(message.number, 1)

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Ask for messages. A broker that refuses is told of in the log; all else goes on."""
        number = self._client.subscribe(topic_filter, qos=qos)[1]
        if number is not None:
            self._subscribed[number] = topic_filter

    def received(self) -> list[Message]:
        """Return what came in since the last call, in order."""
        received, self._received = self._received, []
        return received

    def poll(self, timeout_s: float, wake: Bell | None) -> list[int]:
        """Wait for acknowledgements, messages, or for `wake` to ring. Returns the numbers of acknowledged messages.

        Raises Unreachable where the connection is gone.
        """
        if self._lost is None:
            # Of QoS 0 we know the moment it is sent, before anything is to be waited for.
            self._turn(0.0 if self._acknowledged else timeout_s, wake)
        acknowledged, self._acknowledged = self._acknowledged, []
        self._unacknowledged -= len(acknowledged)
        if not acknowledged and not self._rejected and self._lost is not None:
            raise (TakenOver if self._lost == "Session taken over" else Unreachable)(self._lost)
        return acknowledged

    def rejected(self) -> list[tuple[int, int, str]]:
        """Return what the broker did not take since the last call: number, reason of MQTT 5, and in words."""
        rejected, self._rejected = self._rejected, []
        self._unacknowledged -= len(rejected)
        return rejected

    def close(self) -> None:
        """Say goodbye where there still is somebody, and free the socket. The broker then keeps our will to itself."""
        self._client.disconnect()
        if self._client.socket() is not None:
            self._client.loop_write()
        self.drop()

    def drop(self) -> None:
        """Free the socket without a word, so that the broker sends our will."""
        if (leftover := self._client.socket()) is not None:
            leftover.close()

    def _turn(self, timeout_s: float, wake: Bell | None) -> None:
        """Do what is to be done on the socket, after waiting up to `timeout_s` for something to do."""
        mine: Any = self._client.socket()
        if mine is None:
            self._lost = self._lost or "connection closed"
            return
        if isinstance(mine, ssl.SSLSocket) and mine.pending():
            timeout_s = 0.0
        # The broker's small answers wait, too, unless we say at once that the earlier ones came; it has to be repeated.
        self._option(socket.TCP_QUICKACK)
        readers = [mine] if wake is None else [mine, wake.heard]
        writers = [mine] if self._client.want_write() else []
        readable, writable = wait_ready(readers, writers, max(0.0, timeout_s))
        if wake is not None and wake.heard in readable:
            wake.hear()
        result = MQTTErrorCode.MQTT_ERR_SUCCESS
        if mine in readable or timeout_s == 0.0:
            result = self._client.loop_read()
        if mine in writable and result == MQTTErrorCode.MQTT_ERR_SUCCESS:
            result = self._client.loop_write()
        if result == MQTTErrorCode.MQTT_ERR_SUCCESS:
            result = self._client.loop_misc()
        if result != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lost = self._lost or paho.error_string(result)

    def _option(self, option: int) -> None:
        mine: Any = self._client.socket()
        if mine is not None:
            mine.setsockopt(socket.IPPROTO_TCP, option, 1)

    def _on_connect(self, _client: Any, _userdata: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        self._granted = granted(reason, flags, properties)

    def _on_publish(self, _client: Any, _userdata: Any, number: int, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._rejected.append((number, reason.value, str(reason)))
        else:
            self._acknowledged.append(number)

    def _on_subscribe(self, _client: Any, _userdata: Any, number: int, reasons: Any, _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            log.error(
                "broker refuses the subscription to %s (%s); check its access list",
                self._subscribed.get(number),
                reasons[0],
            )

    def _on_message(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        response_topic = getattr(message.properties, "ResponseTopic", None)
        correlation = getattr(message.properties, "CorrelationData", None)
        heard = Message(
            *(message.topic, bytes(message.payload), message.retain, response_topic, correlation),
            number=message.mid if message.qos else 0,
            came_before=bool(message.dup),
            connection=self.number,
        )
        self._received.append(heard)

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self._lost = str(reason)


def _advice(reason: str) -> str:
    if "protocol version" in reason.lower():
        return f"{reason}; set broker.protocol: 3.1.1"
    return f"{reason}; check broker.username and its password, and that it may connect as broker.client_id"
