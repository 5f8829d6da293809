"""Trigger messages: a message says that a part stands before a camera.

A trigger's own time is carried over to the monotonic clock once, when it arrives.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from runtime.cameras.camera import Memory
from runtime.cameras.triggering import TakesTriggers
from runtime.commands.crowd import Crowd
from runtime.commands.trigger_payload import TriggerPayload, cause_of, read_payload
from runtime.mqtt.message import Message
from runtime.parts.frame import Trigger
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason
from runtime.threads.seldom import Seldom

log = logging.getLogger(__name__)
LATE_S = 30.0
"""No camera keeps its frames for so long."""
MOST_REPEATS = 1000
"""Of one trigger, beyond which those of QoS 0 get no answer: it may be under way for as long as an engine is away."""
TOLD_BEFORE = "it was told before, with the same id and part_id; its events are named in event_ids"


@dataclass(frozen=True)
class Missed:
    """A trigger whose part has no frame, which is known at once: its event need not wait for the model."""

    camera: str
    trigger: Trigger
    reason: Reason


class Answers(Memory, Protocol):
    """Knows the events, too."""

    def answers(self, cause: bytes) -> Sequence[str]:
        """Give the ids of the events that a trigger got; none where it has no id, or not all are on disk."""


@dataclass
class _UnderWay:
    camera: str
    trigger: Trigger
    messages: dict[int, Message]
    """By their numbers: the one that is judged, and behind it those by which its sender repeats it. Those of QoS 0 have
    none, and count down from 0."""
    is_met: bool = False
    """Whether its part waits to be judged."""


@dataclass(frozen=True)
class _Heard:
    """The results of messages that came together."""

    missed: dict[bytes, Missed] = field(default_factory=dict)
    """By their causes."""
    repeats: list[tuple[bytes, Message]] = field(default_factory=list)
    settled: list[Message] = field(default_factory=list)


class TriggerHandler:
    """Takes trigger messages to their cameras, and has each acknowledged when its part's event is on disk.

    `handle` runs on the publisher's thread, `stored` on the one that judges. What is malformed is refused, counted,
    and told in the log once a minute. What a sender repeats is judged once, and answered with the ids of its events.
    """

    def __init__(
        self,
        cameras: Mapping[str, TakesTriggers],
        acknowledge: Callable[[Message], None],
        memory: Answers | None,
        miss: Callable[[Sequence[Missed]], None],
        refuse: Callable[[str, Message, str, Sequence[str]], None] = lambda _camera, _message, _reason, _events: None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take triggers for `cameras`, by their names, on whose `clock` they are put.

        `memory` knows of which causes events were stored, if anybody does; `miss` stores the events of parts without
        frame. `refuse` is told the camera, the message, the reason of what gives no event, and the ids of those that
        it gave before.
        """
        self.refused = dict.fromkeys(cameras, 0)
        """Of each camera: what was malformed."""
        self._cameras = cameras
        self._acknowledge = acknowledge
        self._memory = memory
        self._miss = miss
        self._tell_refused = refuse
        self._now: Callable[[], Moment] = lambda: Moment(wall_clock(), clock())
        self._told = Seldom(clock)
        self._under_way: dict[bytes, _UnderWay] = {}
        self._crowd = Crowd()
        self._gone: set[str] = set()
        self._changed = threading.Lock()

    def handle(self, messages: Sequence[Message]) -> None:
        """Take messages whose topics end with a camera's name. Never raises for what is in them."""
        heard = _Heard()
        for message in messages:
            camera = message.last_level
            try:
                if camera in self._cameras:
                    self._hear(camera, message, heard)
                else:
                    heard.settled.append(message)
            except ValueError as error:
                self._refuse(camera, message, str(error))
                heard.settled.append(message)
        if heard.missed:
            self._miss([*heard.missed.values()])
        for cause, message in heard.repeats:
            self._answer(cause, message)
        for message in heard.settled:
            self._acknowledge(message)

    def met(self, trigger: Trigger) -> None:
        """Its part is on its way to be judged, with a frame or without. For any thread."""
        with self._changed:
            if (asked := self._under_way.get(trigger.cause or b"")) is not None:
                asked.is_met = True

    def stored(self, trigger: Trigger) -> None:
        """All events of this trigger's part are on disk."""
        self._settle(trigger.cause or b"")

    def gone(self, camera: str) -> None:
        """Of `camera` nothing more comes in this run: what was not met has no frame. Call it again and again."""
        if camera not in self._cameras:
            return
        with self._changed:
            self._gone.add(camera)
        self._lose(lambda asked: asked.camera == camera and not asked.is_met)

    def end(self) -> None:
        """Nothing more is judged in this run. Of ids given ahead the broker keeps no message: they are told now."""
        with self._changed:
            self._gone.update(name for name, camera in self._cameras.items() if camera.takes_ahead)
        self._lose(lambda asked: self._cameras[asked.camera].takes_ahead)

    def _lose(self, is_lost: Callable[[_UnderWay], bool]) -> None:
        with self._changed:
            lost = {
                cause: Missed(asked.camera, asked.trigger, Reason.NO_FRAME)
                for cause, asked in self._under_way.items()
                if is_lost(asked)
            }
        if lost:
            self._miss([*lost.values()])
        for cause in lost:
            self._settle(cause)

    def _hear(self, camera: str, message: Message, heard: _Heard) -> None:
        """Take a message. Raises ValueError where it is malformed, or the camera takes no more."""
        if message.retained:
            raise ValueError("it is retained, and so may be old; send triggers without retain")
        told = read_payload(message.payload)
        for meant, key in told.misspelt().items():
            if self._told.is_due(f"misspelt {camera} {meant}", math.inf):
                remedy = f"did you mean `{meant}`?"
                where = message.topic
                log.warning("trigger has a key that is not read topic=%s key=%.64r remedy=%r", where, key, remedy)
        cause = self._cause(message, told)
        if self._is_under_way(cause, message):
            if self._cameras[camera].takes_ahead:
                heard.settled.append(message)
        elif cause in heard.missed or self._was_stored(cause, message):
            heard.repeats.append((cause, message))
            heard.settled.append(message)
        else:
            self._take(camera, message, told, cause, heard)

    def _cause(self, message: Message, told: TriggerPayload) -> bytes:
        """Give that by which it is known again.

        Numbers come round, and begin again where a broker lost its memory: an earlier message that was alike in every
        byte must not be taken for this one, now or when it is handed over again.
        """
        cause = cause_of(message, told)
        if told.id is not None or message.came_before or not message.number:
            return cause
        with self._changed:
            is_taken = cause in self._under_way
        if is_taken:
            return cause_of(replace(message, number=0), told)
        if self._memory is not None:
            self._memory.forget(cause)
        return cause

    def _is_under_way(self, cause: bytes, message: Message) -> bool:
        """Whether its part is judged now: it is settled with the part's events then."""
        with self._changed:
            known = self._under_way.get(cause)
            if known is not None and (message.number or len(known.messages) < MOST_REPEATS):
                known.messages[message.number or -len(known.messages)] = message
        return known is not None

    def _was_stored(self, cause: bytes, message: Message) -> bool:
        """Whether the events are on disk: it was not acknowledged then, or its sender repeats it."""
        if self._memory is None:
            return False
        return (message.came_before and self._memory.knows(cause)) or bool(self._memory.answers(cause))

    def _take(self, camera: str, message: Message, told: TriggerPayload, cause: bytes, heard: _Heard) -> None:
        now = self._now()
        now_s, trigger = now.s, told.trigger(cause, now)
        takes_ahead = self._cameras[camera].takes_ahead
        # Without a time of its own it meant a moment when we were away: the part before the camera now is another.
        is_past = message.was_kept and told.time is None
        if is_past or camera in self._gone:
            heard.missed[cause] = Missed(camera, trigger, Reason.NO_FRAME)
            heard.settled.append(message)
        elif not takes_ahead and self._is_overrun(now_s):
            heard.missed[cause] = Missed(camera, trigger, Reason.OVERRUN)
            heard.settled.append(message)
        else:
            late_s = now_s - trigger.target.s
            is_late = late_s > LATE_S and not (takes_ahead or message.was_kept)
            if is_late and self._told.is_due(f"late {camera}"):
                remedy = "set the clocks of both machines"
                log.warning(
                    "trigger is too old for any frame topic=%s ago_s=%.0f remedy=%r", message.topic, late_s, remedy
                )
            self._ask(camera, message, trigger, cause)
            # Brokers hand over 20 and wait then: ids given ahead must not hold up one another, nor what others hear.
            if takes_ahead:
                heard.settled.append(message)

    def _ask(self, camera: str, message: Message, trigger: Trigger, cause: bytes) -> None:
        with self._changed:
            self._under_way[cause] = _UnderWay(camera, trigger, {message.number: message})
            if not self._cameras[camera].takes_ahead:
                self._crowd.add(cause, trigger.target.s)
        try:
            self._cameras[camera].ask(trigger)
        except ValueError:
            self._forget(cause)
            raise

    def _refuse(self, camera: str, message: Message, reason: str) -> None:
        self.refused[camera] += 1
        if self._told.is_due(camera):
            log.warning("trigger refused topic=%s reason=%r refused=%d", message.topic, reason, self.refused[camera])
        self._tell_refused(camera, message, reason, ())

    def _answer(self, cause: bytes, message: Message) -> None:
        """Say which events a trigger with an id got that was told before."""
        if self._memory is not None and (events := self._memory.answers(cause)):
            log.info("trigger told before topic=%s events=%s", message.topic, ",".join(events))
            self._tell_refused(message.last_level, message, TOLD_BEFORE, events)

    def _is_overrun(self, now_s: float) -> bool:
        with self._changed:
            return self._crowd.is_overrun(now_s)

    def _settle(self, cause: bytes) -> None:
        """Acknowledge what the events are stored of, in the form in which it was handed over last.

        What was given ahead was acknowledged: its number may be that of another message by now.
        """
        known = self._forget(cause)
        if known is None:
            return
        _first, *repeats = known.messages.values()
        for message in repeats:
            self._answer(cause, message)
        if not self._cameras[known.camera].takes_ahead:
            for message in known.messages.values():
                self._acknowledge(message)

    def _forget(self, cause: bytes) -> _UnderWay | None:
        with self._changed:
            self._crowd.remove(cause)
            return self._under_way.pop(cause, None)
