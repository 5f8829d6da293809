"""The connection to the broker, for as long as a command or an agent runs; paho keeps it, and makes it again."""

import logging
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from core.errors import BrokerError, ConfigError
from runtime.delivery.settings import BrokerSettings
from runtime.delivery.tls import tls_context

log = logging.getLogger(__name__)
LONGEST_WAIT_S = 60
"""Between two attempts."""
Handler = Callable[[str, bytes, bool], None]
"""Takes topic, payload, and whether it was retained; on paho's thread, so it has to be quick."""


class Connection:
    """Open between `with` and its end."""

    def __init__(
        self,
        broker: BrokerSettings,
        client_id: str,
        handlers: Mapping[str, Handler],
        will: tuple[str, bytes] | None = None,
        qos: int = 1,
    ) -> None:
        """`handlers` by topic filter, heard with `qos`; `will` is retained.

        Raises ConfigError where a secret cannot be read.
        """
        if broker.host is None:
            raise ConfigError("broker.host: a fleet needs a broker that all stations reach; set it.")
        self._broker = broker
        self._handlers = handlers
        self._qos = qos
        self._is_through = False
        self._unheard: list[str] = []
        """Filters that are to be subscribed on this connection."""
        self._connected = threading.Event()
        self._reason = "it does not answer"
        self._asked = ""
        """The filter that was subscribed last."""
        self._refusal = ""
        """Why nothing comes on one of them; empty: all are heard."""
        self._client = client = _client(broker, client_id)
        if will is not None:
            client.will_set(*will, qos=1, retain=True)
        for topic_filter, handler in handlers.items():
            client.message_callback_add(topic_filter, _quick(handler))
        self.on_connected: Callable[[], None] = lambda: None
        """Called on paho's thread whenever the connection stands, and all is subscribed."""
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail

    def __enter__(self) -> "Connection":
        """Begin to connect."""
        self._client.connect_async(*self._broker.address, self._broker.keepalive_s)
        self._client.loop_start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def require(self) -> None:
        """Wait for the connection.

        Raises BrokerError where there is none within `broker.connect_timeout_s`, or where it gives us nothing.
        """
        host, port = self._broker.address
        if not self._connected.wait(self._broker.connect_timeout_s):
            raise BrokerError(f"broker {host}:{port}: {self._reason}; check `broker` in the configuration.")
        if self._refusal:
            raise BrokerError(f"broker {host}:{port}: {self._refusal}.")

    @property
    def is_through(self) -> bool:
        """Whether all that was retained when the connection was made has come; or there is none."""
        return self._is_through or not self._connected.is_set()

    def publish(self, topic: str, payload: bytes, retain: bool) -> paho.MQTTMessageInfo:
        """Send with QoS 1, now or when the connection stands again."""
        return self._client.publish(topic, payload, qos=1, retain=retain)

    def _on_connect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._reason = f"{reason}"
            log.warning("broker refuses: %s", reason)
            return
        self._unheard, self._is_through, self._refusal = list(self._handlers), False, ""
        self._connected.set()
        self._subscribe_next()

    def _on_subscribe(self, _client: Any, _userdata: Any, _number: int, reasons: Any, _properties: Any) -> None:
        if reasons[0].is_failure:
            self._refusal = f"it sends us nothing from {self._asked} ({reasons[0]}); let this user read there"
            log.error("broker: %s", self._refusal)
        self._subscribe_next()

    def _subscribe_next(self) -> None:
        """Subscribe when all that is retained on the filter before has come: brokers drop what waits for a client."""
        self._is_through = not self._unheard
        if self._unheard:
            self._asked = self._unheard.pop(0)
            self._client.subscribe(self._asked, qos=self._qos)
        else:
            self.on_connected()

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._connected.clear()
        if reason.is_failure:
            log.warning("broker: connection lost (%s)", reason)

    def _on_connect_fail(self, _client: Any, _userdata: Any) -> None:
        self._reason = "it cannot be reached, or its certificate is not trusted"


def _quick(handler: Handler) -> Callable[[Any, Any, paho.MQTTMessage], None]:
    def handle(_client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        handler(message.topic, bytes(message.payload), message.retain)

    return handle


def _client(broker: BrokerSettings, client_id: str) -> paho.Client:
    """Give a client that may log in. Raises ConfigError where a secret cannot be read."""
    protocol = MQTTProtocolVersion.MQTTv5 if broker.protocol == 5 else MQTTProtocolVersion.MQTTv311
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=protocol)
    client.reconnect_delay_set(1, LONGEST_WAIT_S)
    client.max_inflight_messages_set(broker.max_inflight)
    if broker.username:
        client.username_pw_set(broker.username, broker.password())
    if broker.tls:
        client.tls_set_context(tls_context(broker.tls))
    return client
