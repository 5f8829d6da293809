"""Words: what a broker's answers, and the ends of connections, mean to whoever has to mend them. Pure."""

import ssl
from typing import Any

from paho.mqtt.reasoncodes import ReasonCode

from runtime.mqtt.terms import NOT_AUTHORIZED, TOPIC_INVALID

LONGEST_WORDS = 200
TAKEN_OVER = 0x8E
TOPIC_REASONS = {NOT_AUTHORIZED, TOPIC_INVALID}
"""No message on this topic is taken. All other reasons are about the one message."""
CLOSED = "it closed the connection"
"""Without a word: what a connection that was lost says of itself, too."""
CLOSED_AT_LOGIN = (
    f"{CLOSED} during the login; check broker.port and broker.protocol, and whether it wants TLS there (broker.tls) or "
    "has as many clients as it takes (mosquitto: `max_connections`)"
)
NO_MQTT = "what it sends is no MQTT; check broker.host, broker.port and broker.protocol"
NO_ANSWER = "it does not answer the login; check broker.port, and broker.protocol: some know one of the two alone"
UNANSWERED = "it answers, and has not acknowledged what we sent for {waited_s:.0f} s"
NOT_KEPT = (
    "it hands on what is sent there with QoS 0: a trigger that comes while this station or its connection is away is "
    "lost; allow QoS 1 there"
)
UNSEEN = (
    "what we say there does not come back to us, so that after a connection that was lost what comes in its first "
    "seconds counts as kept: commands are refused, triggers without `time` are no_frame; let this user read there"
)
UNHEARD = (
    "nobody subscribes there, so that it throws away what it acknowledges, unless a rule of its own takes it; let the "
    "MES subscribe there in a session that outlasts its connection (clean start off, a session expiry)"
)
ACCESS = "check the broker's access list"
LOG = "the broker's own log says why"
LOGIN = "check broker.username and its password, and that it may connect as broker.client_id"
FOUND = {
    "Unspecified error": CLOSED,
    "Protocol error": NO_MQTT,
    "Keep alive timeout": "it has not answered for `broker.keepalive_s`",
}
"""What paho found, by its words."""
REMEDIES = {
    **dict.fromkeys((0x80, 0x81, 0x82, 0x83, 0x90, 0x9A), LOG),
    0x84: "set broker.protocol: 3.1.1",
    0x85: LOGIN,
    0x86: LOGIN,
    0x87: LOGIN,
    0x8A: LOGIN,
    0x8C: LOGIN,
    TAKEN_OVER: "another client has this one's id: give each station its own `station`, or its own `broker.client_id`",
    0x95: "let it take larger packets (mosquitto: `max_packet_size`)",
    0x9C: "set broker.host to where it is now",
    0x9D: "set broker.host to where it is now",
}
"""Of a login that was refused, or of a connection that the broker ended, by MQTT 5's reason."""
NO_TLS = {
    ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH", "RECORD_LAYER"): (
        "it speaks no TLS there; check broker.port and broker.tls"
    ),
    ("CERTIFICATE",): "it does not take our certificate; check broker.tls.cert_file",
    (
        "PROTOCOL",
        "CIPHER",
        "HANDSHAKE_FAILURE",
    ): "it has no version (1.2, 1.3) or cipher of TLS in common with us; change that there",
}
"""By what OpenSSL calls it."""
EXPIRED, WRONG_NAMES = 10, {62, 64}
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH."""


def words_of(reason: ReasonCode, properties: Any) -> str:
    """Give a reason with what the broker adds to it: words of its own, and the server that it sends us to."""
    added = [getattr(properties, name, "") for name in ("ReasonString", "ServerReference")]
    said = ", ".join("".join(filter(str.isprintable, each))[:LONGEST_WORDS] for each in added if each)
    return f"{reason} ({said})" if said else str(reason)


def with_remedy(words: str, reason: int) -> str:
    """Say what to do about it, where that is known."""
    remedy = REMEDIES.get(reason)
    return f"{words}; {remedy}" if remedy else words


def with_access(words: str, reason: int) -> str:
    """Say what to do about a message or subscription that was not taken, where it is the topic that is denied."""
    return f"{words}; {ACCESS}" if reason in TOPIC_REASONS else words


def why_ended(is_told: bool, reason: ReasonCode, properties: Any) -> str:
    """Say why a connection ended; `is_told`: the broker says so itself, else it is what we found."""
    if is_told and reason.value == NOT_AUTHORIZED:  # the login was taken: it is what we sent or asked for
        return f"{words_of(reason, properties)}; {ACCESS}: it ends the connection at what it denies"
    if is_told:
        return with_remedy(words_of(reason, properties), reason.value) if reason.value else CLOSED
    return FOUND.get(str(reason), str(reason))


def why_not_open(error: OSError, is_encrypted: bool) -> tuple[str, bool]:
    """Say why there is no connection, and whether a person has to act, since trying again helps nothing."""
    if is_encrypted and isinstance(error, ssl.SSLEOFError | ConnectionResetError):
        return "it ends the connection where TLS begins; check that broker.port is the one that speaks TLS", False
    if isinstance(error, TimeoutError):
        return "it does not answer" + ", or speaks no TLS there" * is_encrypted, False
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error), False
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted ({error.verify_message}); {_certificate_remedy(error.verify_code)}", True
    reason = error.reason or error.strerror or ""
    for marks, words in NO_TLS.items():
        if any(mark in reason for mark in marks):
            return f"{words} ({reason})", True
    return f"no encrypted connection was possible ({reason})", False


def _certificate_remedy(code: int) -> str:
    if code == EXPIRED:
        return "have it renewed, or set this machine's clock"
    return "set broker.host to a name from the certificate" if code in WRONG_NAMES else "check broker.tls.ca_file"
