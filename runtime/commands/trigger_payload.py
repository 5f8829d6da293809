"""Trigger payloads: what a message says of a part that stands before a camera, and what makes it this one."""

from hashlib import blake2b
from itertools import count, islice

from pydantic import BaseModel, ConfigDict

from core.config import parse_settings
from core.config_faults import nearest_key
from core.errors import ConfigError
from runtime.commands.command import Mark, MarkIfAny, Time, content_of
from runtime.events.encoding import dumps
from runtime.mqtt.message import Message
from runtime.parts.frame import Trigger
from runtime.parts.moment import Moment

AHEAD_S, AGO_S = 10.0, 86400.0
"""A trigger whose time lies further in the future, or in the past, comes from a clock that is wrong."""
UNNUMBERED = count(1)
LONGEST_BYTES = 65_536
"""Of a trigger, which may have keys of the MES' own."""
MOST_KEYS = 20
"""Of a trigger's own that are looked at: each takes time."""
EXPECTED = 'expected a JSON object, as in {"part_id": "4711"}.'


class TriggerPayload(BaseModel):
    """As it was sent; keys that we do not know are left alone."""

    model_config = ConfigDict(strict=True, extra="allow")

    part_id: Mark
    job_id: MarkIfAny = None
    recipe: MarkIfAny = None
    time: Time | None = None
    id: MarkIfAny = None

    def misspelt(self) -> dict[str, str]:
        """Give, by the keys of ours that are not there, those that look as if they were meant."""
        missing = type(self).model_fields.keys() - self.model_fields_set
        own = islice(self.model_extra or {}, MOST_KEYS)
        return {meant: key for key in own if (meant := nearest_key(key, missing))}

    def trigger(self, cause: bytes, now: Moment) -> Trigger:
        """Give the trigger that arrived `now`.

        Without a `time` of its own it means the moment of its arrival. Raises ValueError where that cannot be right.
        """
        at_s = now.at_s if self.time is None else self.time.timestamp()
        if not -AGO_S <= at_s - now.at_s <= AHEAD_S:
            raise ValueError(f"time: {at_s - now.at_s:+.0f} s from now; set the clocks of both machines")
        target = Moment(at_s, now.s + at_s - now.at_s)
        return Trigger(self.part_id, self.job_id, self.recipe, self.id, target, cause)


def read_payload(payload: bytes) -> TriggerPayload:
    """Raises ValueError where it is malformed."""
    try:
        return parse_settings(content_of(payload, "trigger", EXPECTED, LONGEST_BYTES), TriggerPayload, "trigger")
    except ConfigError as error:
        raise ValueError(str(error)) from error


def cause_of(message: Message, told: TriggerPayload) -> bytes:
    """By what a trigger is known again.

    One with an `id`: by that and its part, however often its sender repeats it. Another: by its message, which is the
    same where the broker hands it over again in the same session; two that are alike in every byte are two parts.
    """
    if told.id is not None:
        return _digest(b"id\0%s\0%s" % (message.topic.encode(), dumps({"id": told.id, "part_id": told.part_id})))
    digest = _digest(b"%d\0%s\0%s" % (message.number, message.topic.encode(), message.payload))
    # What is not acknowledged never comes again.
    return digest if message.number else digest + b"%d" % next(UNNUMBERED)


def _digest(told: bytes) -> bytes:
    return blake2b(told, digest_size=16).digest()
