"""Trigger payloads: what a message says of a part that stands before a camera, and what makes it this one."""

import itertools
import json
from hashlib import blake2b
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, ValidationError

from core.errors import ConfigError
from runtime.commands.command import Mark, once
from runtime.delivery.message import Message
from runtime.events.encoding import dumps
from runtime.parts.frame import Trigger
from runtime.parts.moment import Moment

AHEAD_S, AGO_S = 10.0, 86400.0
"""A trigger whose time lies further in the future, or in the past, comes from a clock that is wrong."""
UNNUMBERED = itertools.count(1)
MarkIfAny = Annotated[Mark | None, BeforeValidator(lambda told: None if told == "" else told)]
"""A PLC whose field is empty sends a text without characters."""


class TriggerPayload(BaseModel):
    """As it was sent; keys that we do not know are left alone."""

    model_config = ConfigDict(strict=True, extra="ignore")

    part_id: Mark
    job_id: MarkIfAny = None
    recipe: MarkIfAny = None
    time: AwareDatetime | None = None
    id: MarkIfAny = None

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
        told = TriggerPayload.model_validate_json(payload)
        json.loads(payload, object_pairs_hook=once)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: {said}" if where else said) from error
    return told


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
