"""Trigger messages: a message says that a part stands before a camera.

A trigger's own time is carried over to the monotonic clock once, when it arrives.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from runtime.cameras.triggering import TakesTriggers
from runtime.commands.command import Mark, Text
from runtime.commands.crowd import Crowd
from runtime.delivery.message import Message
from runtime.parts.frame import Trigger
from runtime.parts.verdict import Reason

log = logging.getLogger(__name__)
AHEAD_S, AGO_S = 10.0, 86400.0
"""A trigger whose time lies further in the future, or in the past, comes from a clock that is wrong."""
GONE_S = 2.0
"""What a camera that died was told of is given so long to be judged still."""
UNNUMBERED = itertools.count(1)


class _Payload(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    part_id: Mark
    job_id: Text | None = Field(default=None, max_length=256)
    recipe: Text | None = Field(default=None, max_length=256)
    time: AwareDatetime | None = None
    id: Text | None = Field(default=None, max_length=256)


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


@dataclass(frozen=True)
class Missed:
    """A trigger whose part has no frame, which is known at once: its event need not wait for the model."""

    camera: str
    trigger: Trigger
    reason: Reason


class TriggerHandler:
    """Takes trigger messages to their cameras, and has each acknowledged when its part's event is on disk.

    `handle` runs on the publisher's thread, `stored` on the one that judges. What is malformed is refused, logged and
    counted.
    """

    def __init__(
        self,
        cameras: Mapping[str, TakesTriggers],
        acknowledge: Callable[[Message], None],
        knows: Callable[[bytes], bool],
        miss: Callable[[Sequence[Missed]], None],
        refuse: Callable[[str, Message, str], None] = lambda _camera, _message, _reason: None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take triggers for `cameras`, by their names, on whose `clock` they are put.

        `knows` says whether an event of this cause was stored before; `miss` stores the events of parts without frame.
        `refuse` is told the camera, the message and the reason of what is malformed.
        """
        self.refused = dict.fromkeys(cameras, 0)
        """Of each camera."""
        self._cameras = cameras
        self._acknowledge = acknowledge
        self._knows = knows
        self._miss = miss
        self._tell_refused = refuse
        self._clock = clock
        self._wall_clock = wall_clock
        self._under_way: dict[bytes, tuple[Message, Trigger]] = {}
        self._crowd = Crowd()
        self._gone: set[str] = set()
        self._changed = threading.Lock()

    def handle(self, messages: Sequence[Message]) -> None:
        """Take messages whose topics end with a camera's name. Never raises for what is in them."""
        missed: list[Missed] = []
        settled: list[Message] = []
        for message in messages:
            camera = _camera(message)
            if camera not in self._cameras:
                settled.append(message)
            elif not self._is_known(message):
                self._take(camera, message, missed, settled)
        if missed:
            self._miss(missed)
        for message in settled:
            self._acknowledge(message)

    def stored(self, trigger: Trigger) -> None:
        """All events of this trigger's part are on disk."""
        with self._changed:
            message, _trigger = self._under_way.get(trigger.cause or b"", (None, None))
        self._forget(trigger.cause or b"")
        if message is not None:
            self._acknowledge(message)

    def gone(self, camera: str) -> None:
        """Of `camera` nothing more comes in this run: what it was told of has no frame. Call it again and again."""
        if camera not in self._cameras:
            return
        with self._changed:
            self._gone.add(camera)
            late_s = self._clock() - GONE_S
            lost = [
                (message, trigger)
                for cause, (message, trigger) in self._under_way.items()
                if _camera(message) == camera and self._crowd.due_s(cause, late_s) <= late_s
            ]
        if lost:
            self._miss([Missed(camera, trigger, Reason.NO_FRAME) for _message, trigger in lost])
        for message, trigger in lost:
            self._forget(trigger.cause or b"")
            self._acknowledge(message)

    def _is_known(self, message: Message) -> bool:
        """Whether the broker hands over again what is under way, or was stored and not acknowledged."""
        if not message.came_before:
            return False
        cause = _cause(message)
        with self._changed:
            if cause in self._under_way:
                self._under_way[cause] = (message, self._under_way[cause][1])
                if self._cameras[_camera(message)].takes_ahead:
                    self._acknowledge(message)
                return True
        if self._knows(cause):
            self._acknowledge(message)
            return True
        return False

    def _take(self, camera: str, message: Message, missed: list[Missed], settled: list[Message]) -> None:
        now_s = self._clock()
        try:
            if message.retained:
                raise ValueError("it is retained, and so may be old; send triggers without retain")
            trigger = replace(parse_trigger(message.payload, self._wall_clock(), now_s), cause=_cause(message))
        except ValueError as error:
            self._refuse(camera, message, str(error), settled)
            return
        # Without a time of its own it meant a moment when we were away: the part before the camera now is another.
        is_past = message.was_kept and trigger.target_s == now_s
        if is_past or camera in self._gone:
            missed.append(Missed(camera, trigger, Reason.NO_FRAME))
            settled.append(message)
        elif not self._cameras[camera].takes_ahead and self._is_overrun(now_s):
            missed.append(Missed(camera, trigger, Reason.OVERRUN))
            settled.append(message)
        else:
            self._ask(camera, message, trigger, settled)

    def _ask(self, camera: str, message: Message, trigger: Trigger, settled: list[Message]) -> None:
        cause = trigger.cause or b""
        with self._changed:
            self._under_way[cause] = (message, trigger)
            if not self._cameras[camera].takes_ahead:
                self._crowd.add(cause, trigger.target_s)
        try:
            self._cameras[camera].ask(trigger)
        except ValueError as error:
            self._forget(cause)
            self._refuse(camera, message, str(error), settled)
            return
        # Brokers hand over 20 and wait then: ids given ahead must not hold up one another, nor what others are told.
        if self._cameras[camera].takes_ahead:
            settled.append(message)

    def _refuse(self, camera: str, message: Message, reason: str, settled: list[Message]) -> None:
        self.refused[camera] += 1
        log.warning("trigger refused topic=%s reason=%r refused=%d", message.topic, reason, self.refused[camera])
        self._tell_refused(camera, message, reason)
        settled.append(message)

    def _is_overrun(self, now_s: float) -> bool:
        with self._changed:
            return self._crowd.is_overrun(now_s)

    def _forget(self, cause: bytes) -> None:
        with self._changed:
            self._under_way.pop(cause, None)
            self._crowd.remove(cause)


def _camera(message: Message) -> str:
    return message.topic.rsplit("/", 1)[1]


def _cause(message: Message) -> bytes:
    """Of a message: the same, where the broker hands it over again in the same session."""
    told = b"%d\0%s\0%s" % (message.number, message.topic.encode(), message.payload)
    digest = blake2b(told, digest_size=16).digest()
    # What is not acknowledged never comes again, and may be alike in every byte.
    return digest if message.number else digest + b"%d" % next(UNNUMBERED)
