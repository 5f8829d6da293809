"""Recalibration: a camera's thresholds from its next good parts, stored beside the bundle."""

from pathlib import Path

import numpy as np

from core.errors import ConfigError, PwaeError
from core.thresholds import parts_needed
from runtime.commands.command import Command
from runtime.commands.new_thresholds import Calibration, set_back, set_from_parts
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
        self._gathering: dict[str, Calibration] = {}
        self._storing: tuple[Calibration, Worker] | None = None

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
        calibration = Calibration(message, command, camera, model, evidence=self._evidence)
        if command.reset:
            self.cancel("it was reset.", camera=camera)
            self._gathering[camera] = calibration
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
        self._gathering[camera] = calibration

    def watch(self, part: JudgedPart) -> None:
        """Look at a judged part; one that could not be judged does not count."""
        calibration = self._gathering.get(part.part.camera)
        if calibration is None or calibration.model.origin.recipe != part.origin.recipe:
            return
        if part.judgement.errors is None or part.judgement.verdict == Verdict.NOT_DECIDABLE:
            return
        if len(calibration.seqs) < (calibration.command.parts or 0):
            calibration.errors.append(np.array(part.judgement.errors))
            calibration.seqs.append(part.seq)

    def look(self) -> None:
        """Put in force what was stored, and tell; store what has all its parts."""
        if self._storing is not None and not self._storing[1].is_alive():
            (calibration, worker), self._storing = self._storing, None
            self._finish(calibration, worker.fault)
        for camera, calibration in self._gathering.items():
            if self._storing is None and len(calibration.seqs) == (calibration.command.parts or 0):
                del self._gathering[camera]
                self._store(calibration)
                break

    def cancel(self, why: str, model: ModelInUse | None = None, camera: str | None = None) -> None:
        """Refuse those that still gather parts: all, or those of a model or a camera."""
        for calibration in list(self._gathering.values()):
            if model in (None, calibration.model) and camera in (None, calibration.camera):
                del self._gathering[calibration.camera]
                self._replies.refuse(calibration.message, f"recalibrate: {why}")

    def end(self) -> list[Message]:
        """Give those who wait in vain; one that is being stored is waited for."""
        self.look()
        if self._storing is not None:
            self._storing[1].join(FINISH_S)
            self.look()
        waiting = [*self._gathering.values(), *([self._storing[0]] if self._storing else [])]
        return [calibration.message for calibration in waiting]

    def _finish(self, calibration: Calibration, fault: BaseException | None) -> None:
        refused = calibration.refused or (f"recalibrate: it failed ({fault})." if fault else "")
        if refused:
            self._replies.refuse(calibration.message, refused, calibration.detail)
            return
        if calibration.after is not None:
            calibration.model.thresholds.put(calibration.camera, calibration.after)
        self._replies.done(calibration.message, calibration.detail)

    def _store(self, calibration: Calibration) -> None:
        model = calibration.model
        bundle, thresholds, site = model.require_bundle(), model.thresholds, model.site
        work = set_back if calibration.command.reset else set_from_parts

        def store() -> None:
            try:
                calibration.after = work(calibration, bundle, thresholds, site)
            except PwaeError as error:
                calibration.refused = str(error)

        worker = Worker("recalibration", store)
        self._storing = calibration, worker
        worker.start()
