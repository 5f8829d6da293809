"""Terms: what a broker takes, as far as it is known, and what its answers to a login mean. Pure.

Every plant has its own broker. What can be done without is left out, and told; what cannot is refused in words.
"""

from dataclasses import dataclass, replace
from typing import Literal

BUSY = {0x88, 0x89, 0x97, 0x9F}
"""Server unavailable, server busy, quota exceeded, connection rate exceeded: trying again helps."""
NO_RETAIN, NO_QOS, NO_WILDCARDS = 0x9A, 0x9B, 0xA2
NOT_AUTHORIZED, TOPIC_INVALID = 0x87, 0x90
QOS_REMEDY = (
    "it takes no messages with QoS 1, so that it would acknowledge no event; allow them (mosquitto: `max_qos 2`)"
)
RETAIN_LOST = (
    "it takes no retained messages: who subscribes late sees `status`, `model`, `last` and `counters` only when they "
    "change; allow them (mosquitto: `retain_available true`)"
)
WILL_LOST = "it accepts no will on {topic}, so nothing reports there when this client is lost; let its user write there"

KEPT_SHORTLY = (
    "it keeps what is sent to this station while that is away for {kept_s} s, and not for a day: triggers of longer "
    "outages are lost; let sessions there last 86400 s"
)


@dataclass(frozen=True)
class Terms:
    """What goes with a login."""

    retain: bool = True
    denied_will: str | None = None
    """The topic of the will that it does not take."""
    will_qos: Literal[0, 1] = 1
    kept_s: int | None = None
    """How long what is sent to us while we are away is kept, where that is shorter than we asked for."""

    @property
    def losses(self) -> tuple[str, ...]:
        """What is given up, each with its remedy."""
        kept = () if self.kept_s is None else (KEPT_SHORTLY.format(kept_s=self.kept_s),)
        will = () if self.denied_will is None else (WILL_LOST.format(topic=self.denied_will),)
        return (RETAIN_LOST,) * (not self.retain) + will + kept


def milder(terms: Terms, reason: int | None, will: str | None) -> Terms | None:
    """Say on which terms to try again where a login was refused; None: nothing that can be left out would help.

    `reason` is MQTT 5's number; None: the broker closed the connection and gave none, as it has to under 3.1.1. `will`
    is the topic of the login's will, where it had one.
    """
    if reason == NO_RETAIN and terms.retain:
        return replace(terms, retain=False)
    if reason in {NOT_AUTHORIZED, TOPIC_INVALID} and terms.denied_will is None and will is not None:
        return replace(terms, denied_will=will)
    if reason is None and terms.retain:
        return replace(terms, retain=False)
    if reason is None and terms.will_qos:
        return replace(terms, will_qos=0)
    return None
