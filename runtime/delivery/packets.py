"""Packets: what goes with a message or a login under MQTT 5, and how large a message is on the wire. Pure."""

from typing import Any, cast

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from runtime.delivery.message import Outgoing

SESSION_S = 86_400
"""How long the broker keeps what was sent to us while we are away."""
RECEIVED_AT_ONCE = 20
"""Messages that the broker may have handed to us before we acknowledge one: its queue waits there, not here."""


def message_properties(message: Outgoing) -> Properties:
    """What a message says of itself."""
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


def login_properties() -> Properties:
    """Ask for a session that outlives the connection."""
    properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_S
    properties.ReceiveMaximum = RECEIVED_AT_ONCE
    return cast(Properties, properties)


def packet_bytes(message: Outgoing, properties: Properties | None) -> int:
    """How many bytes a message takes on the wire, at most."""
    packed = len(properties.pack()) if properties is not None else 0  # type: ignore[no-untyped-call]
    return 5 + 2 + len(message.topic.encode()) + 2 + packed + len(message.payload)
