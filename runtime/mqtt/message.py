"""MQTT messages, as the broker gives them to us and as we give them to it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from runtime.events.encoding import GAP_SCHEMA, REVIEW_SCHEMA, SCHEMA, stamp

SCHEMAS = {"gap": GAP_SCHEMA, "review": REVIEW_SCHEMA}
"""Of what goes through the outbox and tells of no part that was judged just now, by the last level of its topic."""


@dataclass(frozen=True)
class Message:
    """What the broker handed to us."""

    topic: str
    payload: bytes
    retained: bool
    """Whether it was kept by the broker and may be old, rather than sent just now."""
    response_topic: str | None = None
    """Where the sender waits for an answer, which has to carry its `correlation`; MQTT 5 only."""
    correlation: bytes | None = None
    number: int = 0
    """By which it is acknowledged; 0 where nothing is to be."""
    came_before: bool = False
    """Whether the broker may have handed it to us already, over an earlier connection."""
    was_kept: bool = field(default=False, compare=False)
    """Whether it waited at the broker while we were away, or may have."""
    connection: int = field(default=0, compare=False)
    """Over which of our connections it came, by its number."""

    @property
    def last_level(self) -> str:
        """Of its topic: which command it is, or for which camera."""
        return self.topic.rsplit("/", 1)[1]


@dataclass(frozen=True)
class Subscription:
    """Who hears the messages on a topic filter."""

    topic_filter: str
    handler: Callable[[Sequence[Message]], None]
    """Is given what came together, in order."""
    is_lasting: bool = False
    """Whether the broker keeps for us what comes while we are away, and until the handler has it acknowledged."""


@dataclass(frozen=True)
class Outgoing:
    """What we hand to the broker. The last four go with MQTT 5 only, so nobody may depend on them."""

    topic: str
    payload: bytes
    retain: bool = False
    qos: Literal[0, 1] = 1
    expiry_s: float | None = None
    """After this long the broker throws it away where a subscriber did not come for it."""
    user: tuple[tuple[str, str], ...] = ()
    correlation: bytes | None = None
    media_type: str = "application/json"


def event_message(topic: str, body: bytes, replayed: bool, expiry_s: float | None = None) -> Outgoing:
    """Give an event, a gap or a review as it goes out now."""
    schema = SCHEMAS.get(topic.rsplit("/", 1)[1], SCHEMA)
    user = (("schema", schema), ("replayed", str(replayed).lower()))
    return Outgoing(topic, stamp(body, time.time(), replayed), expiry_s=expiry_s, user=user)
