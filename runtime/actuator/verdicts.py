"""Verdicts at once: told before the event is stored, and in time or not at all.

A part that is expected and has no verdict by its deadline is told as NotDecidable, `late`: whoever rejects then rejects
by default, and hears no other verdict of that part afterwards. Its event tells the real one, and that it was late.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runtime.actuator.coils import Coils
from runtime.actuator.settings import ModbusSettings
from runtime.cameras.settings import VerdictSettings
from runtime.delivery.publisher import Publisher
from runtime.events.encoding import dumps
from runtime.events.event import Notice
from runtime.events.origin import Origin, event_id
from runtime.mqtt.message import Outgoing
from runtime.parts.frame import Trigger
from runtime.parts.part import Part
from runtime.parts.verdict import Judgement, Verdict
from runtime.threads.worker import Worker

LATE = "late"
"""The reason of what had no verdict in time. It stands in no event: there the verdict is told."""
Key = tuple[str, bytes | float]
"""A stream of parts, and what makes a part of it this one: its trigger, or when it was captured."""


@dataclass(frozen=True)
class _Expected:
    due_s: float
    since_s: float
    part_id: str | None


class Verdicts(Worker):
    """Tells verdicts, on any thread, and what is late on its own."""

    def __init__(
        self,
        settings: Mapping[str, VerdictSettings],
        publisher: Publisher,
        topic_of: Callable[[str], str],
        modbus: ModbusSettings | None = None,
    ) -> None:
        """`settings` are those of each stream whose verdicts are told on its topic; `modbus` is a PLC to tell.

        Raises ConfigError where a package for it is missing.
        """
        super().__init__("verdicts", self._watch)
        coils = [each.coil for each in settings.values() if each.coil is not None]
        self.coils = None if modbus is None else Coils(modbus, coils)
        """None: no PLC is told."""
        self._settings = settings
        self._publisher = publisher
        self._topic_of = topic_of
        self._expected: dict[Key, _Expected] = {}
        self._late: dict[Key, Notice] = {}
        self.late = dict.fromkeys(settings, 0)
        """Of each stream: parts that had no verdict in time."""
        self._changed = threading.Condition()
        self._is_over = False

    def start(self) -> None:
        """Begin to look for what is late, and to tell the PLC."""
        super().start()
        if self.coils is not None:
            self.coils.start()

    @property
    def problem(self) -> str:
        """Why somebody is not told, in words; empty where all are."""
        return self.coils.problem if self.coils is not None else ""

    @property
    def faults(self) -> dict[str, BaseException]:
        """What killed the threads, by their names."""
        workers = [self] if self.coils is None else [self, self.coils]
        return {worker.name: worker.fault for worker in workers if worker.fault is not None}

    def alive(self) -> None:
        """The judging thread goes round. Returns at once."""
        if self.coils is not None:
            self.coils.alive()

    def expect(self, part: Part) -> None:
        """`part` is there: its verdict is due."""
        self._expect(part.camera, _key(part), part.arrived.s, part.part_id)

    def expect_triggered(self, stream: str, trigger: Trigger) -> None:
        """A part of `stream` is there, or will be at the time of its trigger."""
        if trigger.cause is not None:
            self._expect(stream, (stream, trigger.cause), trigger.target.s, trigger.part_id)

    def forget_triggered(self, stream: str, trigger: Trigger) -> None:
        """There is no such part: its trigger was refused."""
        with self._changed:
            for known in (self._expected, self._late):
                known.pop((stream, trigger.cause or b""), None)

    def stand(self, part: Part, judgement: Judgement, seq: int, origin: Origin) -> Notice | None:
        """The verdict of `part` stands: tell it, unless it was told as late. None where nobody is told of them."""
        if part.camera not in self._settings:
            return None
        key = _key(part)
        with self._changed:
            self._expected.pop(key, None)
            if (late := self._late.pop(key, None)) is not None:
                return late
            reasons = [str(reason) for reason in judgement.reasons]
            name = {"id": event_id(origin, part, seq), "seq": seq, "part_id": part.part_id}
            self._tell(part.camera, judgement.verdict, reasons, name)
            return Notice(_ms_since(part.arrived.s), is_late=False)

    def stop(self) -> None:
        """Nothing more is told."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        if self.is_alive():
            self.join()
        if self.coils is not None:
            self.coils.stop()

    def _expect(self, stream: str, key: Key, since_s: float, part_id: str | None) -> None:
        if (settings := self._settings.get(stream)) is None:
            return
        with self._changed:
            if key not in self._expected and key not in self._late:
                self._expected[key] = _Expected(since_s + settings.deadline_ms / 1000, since_s, part_id)
                self._changed.notify_all()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_over:
                now_s = time.monotonic()
                for key in [key for key, each in self._expected.items() if each.due_s <= now_s]:
                    each = self._expected.pop(key)
                    self.late[key[0]] += 1
                    self._late[key] = Notice(_ms_since(each.since_s), is_late=True)
                    name = {"id": None, "seq": None, "part_id": each.part_id}
                    self._tell(key[0], Verdict.NOT_DECIDABLE, [LATE], name)
                due_s = min((each.due_s for each in self._expected.values()), default=None)
                self._changed.wait(None if due_s is None else max(0.0, due_s - time.monotonic()))

    def _tell(self, stream: str, verdict: Verdict, reasons: list[str], name: Mapping[str, object]) -> None:
        settings = self._settings[stream]
        if self.coils is not None and settings.coil is not None:
            self.coils.switch(settings.coil, is_on=verdict != Verdict.OK)
        body = dumps({"code": int(verdict), "name": verdict.word, "reason": reasons, **name})
        # Never kept for later: by then another part stands there.
        expiry_s = settings.deadline_ms / 1000
        self._publisher.send(Outgoing(self._topic_of(stream), body, qos=0, expiry_s=expiry_s))


def _key(part: Part) -> Key:
    cause = part.trigger.cause if part.trigger is not None else None
    return part.camera, part.captured.s if cause is None else cause


def _ms_since(since_s: float) -> float:
    return (time.monotonic() - since_s) * 1000
