"""The jobs under way, one a camera, and their results so far. Both lie in the outbox: they agree with its events.

They belong to whoever holds the numbering: the thread that judges, or the one that hears of a part without a frame.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from core.errors import ConfigError
from core.timestamps import rfc3339
from runtime.commands.command import Command
from runtime.delivery.publisher import Publisher
from runtime.events.encoding import dumps
from runtime.events.event import JudgedPart
from runtime.events.topics import Topics
from runtime.parts.frame import Trigger
from runtime.parts.job import NO_JOB, Job
from runtime.parts.part import Part
from runtime.parts.verdict import GIVEN


@dataclass
class _UnderWay:
    job: Job
    since: str
    parts: Counter[str] = field(default_factory=Counter)
    """By verdict, as the topic names them."""

    def card(self) -> bytes:
        parts = {verdict.key: self.parts[verdict.key] for verdict in GIVEN}
        return dumps({**asdict(self.job), "since": self.since, **parts})


class Jobs:
    """What each camera works on, over all runs, told on a retained topic."""

    def __init__(
        self, cameras: Iterable[str], publisher: Publisher, topics: Topics, held: AbstractContextManager[None]
    ) -> None:
        """Go on with the jobs of the last run of `cameras`; `held` is the numbering's lock."""
        self._publisher = publisher
        self._topics = topics
        self._held = held
        self._cameras = tuple(cameras)
        kept = {camera: publisher.outbox.note(_note(camera)) for camera in self._cameras}
        self._of = {camera: _read(note) for camera, note in kept.items() if note is not None}
        """Only of those that were ever told of one."""
        for camera in self._of:
            self.tell(camera)

    def now(self, camera: str, trigger: Trigger | None) -> Job:
        """What a part of `camera` would be made for now: its trigger may name a job of its own. For any thread."""
        work = self._of.get(camera)
        return (NO_JOB if work is None else work.job).told_by(trigger)

    def of(self, part: Part, taken_for: Job | None) -> Job:
        """What `part` is made for: the job under way, but where that would have chosen another model (see Task).

        What somebody asks about is of none.
        """
        if part.answers is not None:
            return taken_for or NO_JOB
        now = self.now(part.camera, part.trigger)
        return now if taken_for is None or taken_for.recipe == now.recipe else taken_for

    def begin(self, command: Command) -> Mapping[str, Any]:
        """Let every event from now on carry what `command` says, and give the results of the jobs that this ends.

        The same once more changes nothing.
        Raises ConfigError where there is no such camera, OutboxError where it cannot be kept.
        """
        if command.camera not in (None, *self._cameras):
            raise ConfigError(f"`camera`: one of {', '.join(self._cameras)}; left out: all.")
        cameras = [command.camera] if command.camera else list(self._cameras)
        job = Job(command.job_id, command.recipe, command.batch, command.operator)
        with self._held:
            changed = [camera for camera in cameras if camera not in self._of or self._of[camera].job != job]
            new = {camera: _UnderWay(job, rfc3339(time.time())) for camera in changed}
            ended = {camera: json.loads(self._of[camera].card()) for camera in new if camera in self._of}
            self._publisher.outbox.keep({_note(camera): work.card() for camera, work in new.items()})
            self._of.update(new)
            for camera in new:
                self.tell(camera)
        return {"cameras": cameras, **asdict(job), "ended": ended}

    def count(self, judged: Iterable[JudgedPart]) -> dict[str, bytes]:
        """Count parts whose events carry the job under way; gives what is to be kept beside these events."""
        notes = {}
        for each in judged:
            work = self._of.get(each.part.camera)
            is_of_now = each.job == self.now(each.part.camera, each.part.trigger)
            if work is None or not is_of_now or each.job.job_id != work.job.job_id:
                continue
            work.parts[each.judgement.verdict.key] += 1
            notes[_note(each.part.camera)] = work.card()
        return notes

    def tell(self, camera: str) -> None:
        """Tell the job of `camera`, and its counters, where there is one."""
        if (work := self._of.get(camera)) is not None:
            self._publisher.retain(self._topics.job(camera), work.card())


def _note(camera: str) -> str:
    return f"job/{camera}"


def _read(kept: bytes) -> _UnderWay:
    told = json.loads(kept)
    job = Job(*(told[key] for key in ("job_id", "recipe", "batch", "operator")))
    return _UnderWay(job, told["since"], Counter({verdict.key: told[verdict.key] for verdict in GIVEN}))
