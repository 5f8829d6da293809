"""Recalibration: a camera's thresholds from its next good parts, stored beside the bundle."""

from pathlib import Path

import numpy as np

from core.errors import ConfigError, PwaeError
from core.thresholds import parts_needed
from runtime.commands.command import Command
from runtime.commands.new_thresholds import Recalibration, set_back, set_from_parts
from runtime.commands.replies import Replies
from runtime.events.event import JudgedPart
from runtime.inference.model_in_use import ModelInUse
from runtime.mqtt.message import Message
from runtime.parts.verdict import Verdict
from runtime.threads.worker import Worker

FINISH_S = 0.3
"""How long one that is being stored is waited for at the end."""


class Recalibrations:
    """Those under way, one a camera. Belongs to the thread that judges; what takes its time is done on another."""

    def __init__(self, replies: Replies, evidence: Path | None) -> None:
        """`replies` are how those who asked are told; in the folder `evidence` parts are marked, None: nowhere."""
        self._replies = replies
        self._evidence = evidence
        self._gathering: dict[str, Recalibration] = {}
        self._storing: tuple[Recalibration, Worker] | None = None

    @property
    def is_storing(self) -> bool:
        """Whether thresholds are being worked out and stored, for the model in use."""
        return self._storing is not None

    def begin(self, camera: str, command: Command, message: Message, model: ModelInUse) -> None:
        """Gather the next parts of `camera` that `model` judges, or set its thresholds back.

        Raises ConfigError where that is no use.
        """
        bundle = model.require_bundle()
        if command.by is None or (command.parts is not None or command.marked) is command.reset:
            raise ConfigError("recalibrate: `by` and `parts` or `marked` are needed, or `by` and `reset`.")
        if command.marked and self._evidence is None:
            raise ConfigError("recalibrate: without `evidence` in the station's file no part can be marked.")
        recalibration = Recalibration(message, command, camera, model, self._evidence)
        if command.reset:
            self.cancel("it was reset.", camera=camera)
            self._gathering[camera] = recalibration
            return
        rate = bundle.manifest.thresholds.false_reject_rate
        # How many are marked is seen when they are read.
        if not command.marked and (command.parts or 0) < (least := parts_needed(rate)):
            raise ConfigError(
                f"recalibrate: {command.parts} parts cannot promise a false-reject rate of {rate:.1%}; "
                f"ask for at least {least}."
            )
        if camera in self._gathering:
            raise ConfigError(f"recalibrate: camera {camera} is being calibrated already; `reset` ends that.")
        self._gathering[camera] = recalibration

    def watch(self, part: JudgedPart) -> None:
        """Look at a judged part; one that could not be judged does not count."""
        recalibration = self._gathering.get(part.part.camera)
        if recalibration is None or recalibration.model.origin.recipe != part.origin.recipe:
            return
        if part.judgement.errors is None or part.judgement.verdict == Verdict.NOT_DECIDABLE:
            return
        if len(recalibration.seqs) < (recalibration.command.parts or 0):
            recalibration.errors.append(np.array(part.judgement.errors))
            recalibration.seqs.append(part.seq)

    def look(self) -> None:
        """Put in force what was stored, and tell; store what has all its parts."""
        if self._storing is not None and not self._storing[1].is_alive():
            (recalibration, worker), self._storing = self._storing, None
            self._finish(recalibration, worker.fault)
        for camera, recalibration in self._gathering.items():
            if self._storing is None and len(recalibration.seqs) == (recalibration.command.parts or 0):
                del self._gathering[camera]
                self._store(recalibration)
                break

    def cancel(self, why: str, model: ModelInUse | None = None, camera: str | None = None) -> None:
        """Refuse those that still gather parts: all, or those of a model or a camera."""
        for recalibration in list(self._gathering.values()):
            if model in (None, recalibration.model) and camera in (None, recalibration.camera):
                del self._gathering[recalibration.camera]
                self._replies.refuse(recalibration.message, f"recalibrate: {why}")

    def end(self) -> list[Message]:
        """Give those who wait in vain; one that is being stored is waited for."""
        self.look()
        if self._storing is not None:
            self._storing[1].join(FINISH_S)
            self.look()
        waiting = [*self._gathering.values(), *([self._storing[0]] if self._storing else [])]
        return [recalibration.message for recalibration in waiting]

    def _finish(self, recalibration: Recalibration, fault: BaseException | None) -> None:
        refused = recalibration.refused or (f"recalibrate: it failed ({fault})." if fault else "")
        if refused:
            self._replies.refuse(recalibration.message, refused, recalibration.detail)
            return
        if recalibration.after is not None:
            recalibration.model.thresholds.put(recalibration.camera, recalibration.after)
        self._replies.done(recalibration.message, recalibration.detail)

    def _store(self, recalibration: Recalibration) -> None:
        model = recalibration.model
        bundle, thresholds, site = model.require_bundle(), model.thresholds, model.site
        work = set_back if recalibration.command.reset else set_from_parts

        def store() -> None:
            try:
                recalibration.after = work(recalibration, bundle, thresholds, site)
            except PwaeError as error:
                recalibration.refused = str(error)

        worker = Worker("recalibration", store)
        self._storing = recalibration, worker
        worker.start()
