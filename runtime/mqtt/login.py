"""The login: what a station tells the broker, and what the broker grants it."""

import ssl
from dataclasses import dataclass
from typing import Any

from paho.mqtt.reasoncodes import ReasonCode

from runtime.mqtt.settings import BrokerSettings
from runtime.mqtt.words import words_of


@dataclass(frozen=True)
class Login:
    """What every connection of a station logs in with."""

    broker: BrokerSettings
    client_id: str
    password: str | None
    tls: ssl.SSLContext | None


@dataclass(frozen=True)
class Granted:
    """What the broker answered."""

    reason: ReasonCode
    words: str
    """The reason, with what the broker adds to it."""
    is_resumed: bool
    """Whether it kept our session: what waited for us comes now."""
    window: int | None
    """Messages that it takes before it acknowledges one; None, as below, where it does not say."""
    largest_bytes: int | None
    """The largest packet that it takes."""
    largest_qos: int
    takes_retained: bool
    takes_wildcards: bool
    session_s: int | None
    """How long it keeps what is sent to us while we are away, where that is not what we asked for."""


def granted(reason: ReasonCode, flags: Any, properties: Any) -> Granted:
    """Read paho's account of the answer."""
    return Granted(
        reason,
        words_of(reason, properties),
        bool(flags.session_present),
        getattr(properties, "ReceiveMaximum", None),
        getattr(properties, "MaximumPacketSize", None),
        getattr(properties, "MaximumQoS", 2),
        bool(getattr(properties, "RetainAvailable", 1)),
        bool(getattr(properties, "WildcardSubscriptionAvailable", 1)),
        getattr(properties, "SessionExpiryInterval", None),
    )
