"""One MQTT connection, from login to close. It belongs to one thread; nothing in it outlives the connection.

paho keeps unacknowledged messages only in memory and resends them on its own; here a connection is made new each time
and whatever was not acknowledged is read from the outbox again, so there is one store and one order.
"""

import logging
import socket
import ssl
import time
from typing import Any, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from runtime.delivery.message import Message, Outgoing
from runtime.delivery.readiness import wait_ready
from runtime.delivery.settings import BrokerSettings
from runtime.delivery.tls import tls_context

log = logging.getLogger(__name__)


class Unreachable(Exception):  # noqa: N818
    """No broker answers there, or the connection was lost; trying again may help."""


class TakenOver(Unreachable):
    """Another client logged in with our client id, and the broker gave it our place. MQTT 5 only."""


class Refused(Exception):  # noqa: N818
    """The broker answers and does not want us: login, certificate, protocol version or topic. A person has to act."""


class Connector:
    """Makes connections to one broker: what is configured is looked up once, at the start."""

    def __init__(self, broker: BrokerSettings, client_id: str) -> None:
        """Raises ConfigError where a password or certificate cannot be read."""
        self.broker = broker
        self.client_id = client_id
        self.password = broker.password()
        self.tls = tls_context(broker.tls) if broker.tls else None

    def open(self, will: Outgoing | None = None) -> "Connection":
        """Connect and log in. Raises Unreachable or Refused with the reason in words.

        `will` is what the broker sends for us where the connection ends without a goodbye.
        """
        connection = Connection(self, will)
        try:
            connection.open()
        except BaseException:
            connection.close()
            raise
        return connection


class Connection:
    """Sends, hears and counts acknowledgements on the publisher's thread, until `close`. Made by a Connector."""

    def __init__(self, connector: Connector, will: Outgoing | None) -> None:
        """Prepare a connection."""
        self._broker = broker = connector.broker
        self._answer: ReasonCode | None = None
        self._acknowledged: list[int] = []
        self._received: list[Message] = []
        self._subscribed: dict[int, str] = {}
        self._lost: str | None = None
        self._rejected: str | None = None
        self._unacknowledged = 0
        self._window = broker.max_inflight
        is_v5 = broker.protocol == 5 and broker.host is not None
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            connector.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if is_v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        self._client.max_inflight_messages_set(broker.max_inflight)
        if will is not None:
            self._client.will_set(will.topic, will.payload, will.qos, will.retain)
        if broker.username:
            self._client.username_pw_set(broker.username, connector.password)
        if connector.tls:
            self._client.tls_set_context(connector.tls)
        self._is_v5 = is_v5
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    @property
    def room(self) -> int:
        """How many messages may be sent before the next acknowledgement."""
        return self._window - self._unacknowledged

    def open(self) -> None:
        """Connect and log in. Raises Unreachable or Refused with the reason in words."""
        host, port = self._broker.address
        until_s = time.monotonic() + min(5.0, self._broker.connect_timeout_s)
        self._client.connect_timeout = until_s - time.monotonic()
        try:
            self._client.connect(host, port, self._broker.keepalive_s)
        except ssl.SSLCertVerificationError as error:
            raise Refused(f"certificate not trusted ({error.verify_message}); check broker.tls.ca_file") from error
        except OSError as error:
            raise Unreachable(error.strerror or str(error)) from error
        # Small messages go at once instead of waiting for the acknowledgement of earlier ones (Nagle).
        self._option(socket.TCP_NODELAY)
        while self._answer is None and self._lost is None:
            if time.monotonic() > until_s:
                raise Unreachable("it does not answer the login")
            self._turn(until_s - time.monotonic(), None)
        if self._answer is None:
            if self._broker.tls:  # TLS 1.3 refuses a certificate after the handshake, and not every broker says so
                raise Refused("it ends the connection where it would check our certificate; check broker.tls.cert_file")
            raise Unreachable(f"it closed the connection during the login ({self._lost})")
        if self._answer.is_failure:
            raise Refused(_advice(str(self._answer)))

    def publish(self, message: Outgoing) -> int:
        """Send. Returns the number under which `poll` reports the acknowledgement (QoS 0: that it went)."""
        self._unacknowledged += 1
        properties = _properties(message) if self._is_v5 else None
        return self._client.publish(message.topic, message.payload, message.qos, message.retain, properties).mid

    def subscribe(self, topic_filter: str) -> None:
        """Ask for messages with QoS 1. A broker that refuses is told of in the log; all else goes on."""
        number = self._client.subscribe(topic_filter, qos=1)[1]
        if number is not None:
            self._subscribed[number] = topic_filter

    def received(self) -> list[Message]:
        """Return what came in since the last call, in order."""
        received, self._received = self._received, []
        return received

    def poll(self, timeout_s: float, wake: socket.socket | None) -> list[int]:
        """Wait for acknowledgements, messages, or for a byte on `wake`. Returns the numbers of acknowledged messages.

        Raises Unreachable where the connection is gone, Refused where the broker takes no messages on a topic.
        """
        if self._lost is None:
            # Of QoS 0 we know the moment it is sent, before anything is to be waited for.
            self._turn(0.0 if self._acknowledged else timeout_s, wake)
        acknowledged, self._acknowledged = self._acknowledged, []
        self._unacknowledged -= len(acknowledged)
        if not acknowledged and self._rejected:
            raise Refused(f"it takes no messages from us ({self._rejected}); check the broker's access list")
        if not acknowledged and self._lost is not None:
            raise (TakenOver if self._lost == "Session taken over" else Unreachable)(self._lost)
        return acknowledged

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

    def _turn(self, timeout_s: float, wake: socket.socket | None) -> None:
        """Do what is to be done on the socket, after waiting up to `timeout_s` for something to do."""
        mine: Any = self._client.socket()
        if mine is None:
            self._lost = self._lost or "connection closed"
            return
        if isinstance(mine, ssl.SSLSocket) and mine.pending():
            timeout_s = 0.0
        # The broker's small answers wait, too, unless we say at once that the earlier ones came; it has to be repeated.
        self._option(socket.TCP_QUICKACK)
        readers = [mine] if wake is None else [mine, wake]
        writers = [mine] if self._client.want_write() else []
        readable, writable = wait_ready(readers, writers, max(0.0, timeout_s))
        if wake in readable and wake is not None:
            wake.recv(4096)
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

    def _on_connect(self, _client: Any, _userdata: Any, _flags: Any, reason: ReasonCode, properties: Any) -> None:
        self._answer = reason
        self._window = min(self._window, getattr(properties, "ReceiveMaximum", self._window))

    def _on_publish(self, _client: Any, _userdata: Any, number: int, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._rejected = str(reason)
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
        self._received.append(
            Message(message.topic, bytes(message.payload), message.retain, response_topic, correlation)
        )

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self._lost = str(reason)


def _properties(message: Outgoing) -> Properties:
    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = message.media_type
    properties.PayloadFormatIndicator = int(message.media_type == "application/json")
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = min(max(1, round(message.expiry_s)), 2**32 - 1)
    if message.user:
        properties.UserProperty = list(message.user)
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    return cast(Properties, properties)


def _advice(reason: str) -> str:
    if "protocol version" in reason.lower():
        return f"{reason}; set broker.protocol: 3.1.1"
    return f"{reason}; check broker.username and its password"
