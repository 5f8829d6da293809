"""Trigger messages: a message says that a part stands before a camera.

A trigger's own time is carried over to the monotonic clock once, when it arrives.
"""

import logging
from collections.abc import Callable

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from runtime.cameras.triggering import TakesTriggers
from runtime.delivery.message import Message
from runtime.parts.frame import Trigger

log = logging.getLogger(__name__)
AHEAD_S, AGO_S = 10.0, 86400.0
"""A trigger whose time lies further in the future, or in the past, comes from a clock that is wrong."""


class _Payload(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    part_id: str = Field(min_length=1, max_length=256)
    job_id: str | None = Field(default=None, max_length=256)
    recipe: str | None = Field(default=None, max_length=256)
    time: AwareDatetime | None = None
    id: str | None = Field(default=None, max_length=256)


def parse_trigger(payload: bytes, now_at_s: float, now_s: float) -> Trigger:
    """Read a trigger that arrived at `now_at_s` (Unix time), which is `now_s` on the monotonic clock.

    Without a `time` of its own it means the moment of its arrival. Raises ValueError where it is malformed.
    """
    try:
        told = _Payload.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from error
    at_s = now_at_s if told.time is None else told.time.timestamp()
    if not -AGO_S <= at_s - now_at_s <= AHEAD_S:
        raise ValueError(f"time: {at_s - now_at_s:+.0f} s from now; set the clocks of both machines")
    return Trigger(told.part_id, told.job_id, told.recipe, told.id, at_s, now_s + at_s - now_at_s)


class TriggerHandler:
    """Takes the messages on a trigger topic to its camera; what is malformed is refused, logged and counted."""

    def __init__(self, camera: TakesTriggers, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        """Take triggers for `camera`, on whose clock they are put."""
        self.refused = 0
        self._camera = camera
        self._clock = clock
        self._wall_clock = wall_clock

    def handle(self, message: Message) -> None:
        """Take one message. Never raises for what is in it."""
        try:
            if message.retained:
                raise ValueError("it is retained, and so may be old; send triggers without retain")
            self._camera.ask(parse_trigger(message.payload, self._wall_clock(), self._clock()))
        except ValueError as error:
            self.refused += 1
            log.warning("trigger refused topic=%s reason=%r refused=%d", message.topic, str(error), self.refused)
