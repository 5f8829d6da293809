"""Packets: what goes with a message or a login under MQTT 5, and how large a message is on the wire. Pure."""

from functools import lru_cache
from typing import Any, cast

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from runtime.mqtt.message import Message, Outgoing

SESSION_S = 86_400
"""How long the broker keeps what was sent to us while we are away."""
RECEIVED_AT_ONCE = 20
"""Messages that the broker may have handed to us before we acknowledge one: its queue waits there, not here."""
TEXTS = {"application/json", "text/plain"}
"""Media types that are text in UTF-8."""
LARGEST_BYTES = 1_000_000
"""Of a message that the broker may hand to us: it drops larger ones, which would fill our memory."""


class Packed(Properties):
    """Properties as they go out: packing them costs paho more than all else that it does with a message."""

    def __init__(self, properties: Properties) -> None:
        self.__dict__.update(vars(properties), packed=properties.pack())  # type: ignore[no-untyped-call]

    def pack(self) -> bytes:
        """Give the bytes."""
        packed: bytes = self.__dict__["packed"]
        return packed


def will_properties(will: Outgoing) -> Properties:
    """What a message says of itself that the broker sends for us."""
    return _properties(will.media_type, None, will.user, None, PacketTypes.WILLMESSAGE)


def message_properties(message: Outgoing) -> Properties:
    """What a message says of itself."""
    expiry_s = None if message.expiry_s is None else min(max(1, round(message.expiry_s)), 2**32 - 1)
    if message.correlation is not None:  # of one message alone
        return _properties(message.media_type, expiry_s, message.user, message.correlation)
    return _of_many(message.media_type, expiry_s, message.user)


@lru_cache(256)
def _of_many(media_type: str, expiry_s: int | None, user: tuple[tuple[str, str], ...]) -> Packed:
    return Packed(_properties(media_type, expiry_s, user, None))


def _properties(
    media_type: str,
    expiry_s: int | None,
    user: tuple[tuple[str, str], ...],
    correlation: bytes | None,
    kind: int = PacketTypes.PUBLISH,
) -> Properties:
    properties: Any = Properties(kind)  # type: ignore[no-untyped-call]
    properties.ContentType = media_type
    properties.PayloadFormatIndicator = int(media_type in TEXTS)
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    if user:
        properties.UserProperty = list(user)
    if correlation is not None:
        properties.CorrelationData = correlation
    return cast(Properties, properties)


def login_properties(is_lasting: bool) -> Properties:
    """Say what we take; `is_lasting` asks for a session that outlives the connection."""
    properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = LARGEST_BYTES
    if not is_lasting:
        return cast(Properties, properties)
    properties.SessionExpiryInterval = SESSION_S
    properties.ReceiveMaximum = RECEIVED_AT_ONCE
    return cast(Properties, properties)


def packet_bytes(message: Outgoing, properties: Properties | None) -> int:
    """How many bytes a message takes on the wire, at most."""
    packed = len(properties.pack()) if properties is not None else 0  # type: ignore[no-untyped-call]
    return 5 + 2 + len(message.topic.encode()) + 2 + packed + len(message.payload)


def why_too_large(message: Outgoing, largest_bytes: int) -> str | None:
    """Say why a broker of MQTT 5 that takes no more than `largest_bytes` a packet does not take it; None: it does."""
    size = packet_bytes(message, message_properties(message))
    if size <= largest_bytes:
        return None
    limit = f"it takes no more than {largest_bytes} bytes (mosquitto: `max_packet_size`)"
    return f"packets of {size // 1000 + 1} kB: {limit}"


def message_of(heard: Any, connection: int) -> Message:
    """Give what paho heard over a connection, by its number. Raises UnicodeDecodeError for a topic that is no text."""
    return Message(
        heard.topic,
        bytes(heard.payload),
        heard.retain,
        getattr(heard.properties, "ResponseTopic", None),
        getattr(heard.properties, "CorrelationData", None),
        number=heard.mid if heard.qos else 0,
        came_before=bool(heard.dup),
        connection=connection,
    )
