"""Recalibration: a camera's thresholds from its next good parts, stored beside the bundle."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, DataError, PwaeError
from core.thresholds import Thresholds, calibrate, parts_needed, ratios
from runtime.bundles.bundle import Bundle
from runtime.bundles.site_thresholds import SiteThresholds
from runtime.commands.command import Command
from runtime.commands.replies import Replies
from runtime.delivery.message import Message
from runtime.events.judged_part import JudgedPart
from runtime.inference.model_in_use import ModelInUse
from runtime.inference.thresholds_in_force import ThresholdsInForce
from runtime.parts.verdict import Verdict
from runtime.threads.worker import Worker

NAMED = 20
"""The reply names so many of the parts that are NotOK now."""
FINISH_S = 0.3
"""How long one that is being stored is waited for at the end."""


@dataclass
class _Calibration:
    message: Message
    command: Command
    camera: str
    errors: list[NDArray[np.float64]] = field(default_factory=list)
    """Of each part (K + 1,)."""
    seqs: list[int] = field(default_factory=list)
    refused: str = ""
    """Why nothing was stored; empty where all went well."""
    detail: dict[str, Any] = field(default_factory=dict)
    after: Thresholds | None = None
    """To be put in force; None: nothing changes."""


class Recalibrations:
    """Those under way, one a camera. Belongs to the thread that judges; what takes its time is done on another."""

    def __init__(self, replies: Replies) -> None:
        """`replies` are how those who asked are told."""
        self._replies = replies
        self._gathering: dict[str, _Calibration] = {}
        self._storing: tuple[_Calibration, Worker] | None = None

    @property
    def is_storing(self) -> bool:
        """Whether thresholds are being worked out and stored, for the model in use."""
        return self._storing is not None

    def begin(self, camera: str, command: Command, message: Message, bundle: Bundle) -> None:
        """Gather the next parts of `camera`, or set its thresholds back. Raises ConfigError where that is no use."""
        if command.by is None or (command.parts is None) is not command.reset:
            raise ConfigError("recalibrate: `by` and `parts` are needed, or `by` and `reset`.")
        calibration = _Calibration(message, command, camera)
        if command.reset:
            self.cancel("it was reset.", [camera])
            self._gathering[camera] = calibration
            return
        rate = bundle.manifest.thresholds.false_reject_rate
        if (command.parts or 0) < (least := parts_needed(rate)):
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
        if calibration is None or part.judgement.errors is None or part.judgement.verdict == Verdict.NOT_DECIDABLE:
            return
        if len(calibration.seqs) < (calibration.command.parts or 0):
            calibration.errors.append(np.array(part.judgement.errors))
            calibration.seqs.append(part.seq)

    def look(self, model: ModelInUse) -> None:
        """Put in force what was stored, and tell; store what has all its parts. `model` is the one in use."""
        if self._storing is not None and not self._storing[1].is_alive():
            (calibration, worker), self._storing = self._storing, None
            self._finish(calibration, worker.fault, model.thresholds)
        for camera, calibration in self._gathering.items():
            if self._storing is None and len(calibration.seqs) == (calibration.command.parts or 0):
                del self._gathering[camera]
                self._store(calibration, model)
                break

    def cancel(self, why: str, cameras: Iterable[str] | None = None) -> None:
        """Refuse those that still gather parts: all, or those of `cameras`."""
        for camera in list(self._gathering if cameras is None else cameras):
            if (calibration := self._gathering.pop(camera, None)) is not None:
                self._replies.refuse(calibration.message, f"recalibrate: {why}")

    def end(self, model: ModelInUse) -> list[Message]:
        """Give those who wait in vain; one that is being stored is waited for."""
        self.look(model)
        if self._storing is not None:
            self._storing[1].join(FINISH_S)
            self.look(model)
        waiting = [*self._gathering.values(), *([self._storing[0]] if self._storing else [])]
        return [calibration.message for calibration in waiting]

    def _finish(self, calibration: _Calibration, fault: BaseException | None, thresholds: ThresholdsInForce) -> None:
        refused = calibration.refused or (f"recalibrate: it failed ({fault})." if fault else "")
        if refused:
            self._replies.refuse(calibration.message, refused, calibration.detail)
            return
        if calibration.after is not None:
            thresholds.put(calibration.camera, calibration.after)
        self._replies.done(calibration.message, calibration.detail)

    def _store(self, calibration: _Calibration, model: ModelInUse) -> None:
        bundle, thresholds, site = model.require_bundle(), model.thresholds, model.site
        work = _set_back if calibration.command.reset else _set

        def store() -> None:
            try:
                calibration.after = work(calibration, bundle, thresholds, site)
            except PwaeError as error:
                calibration.refused = str(error)

        worker = Worker("recalibration", store)
        self._storing = calibration, worker
        worker.start()


def _set_back(
    calibration: _Calibration, bundle: Bundle, thresholds: ThresholdsInForce, site: SiteThresholds
) -> Thresholds | None:
    camera, command = calibration.camera, calibration.command
    before, after = thresholds[camera], thresholds.would_be(camera, None)
    calibration.detail = {**_about(calibration, after), "before": _told(before), "after": _told(after)}
    if command.dry_run:
        return None
    site.store(bundle, camera, None, command.by or "")
    return after


def _set(
    calibration: _Calibration, bundle: Bundle, thresholds: ThresholdsInForce, site: SiteThresholds
) -> Thresholds | None:
    camera, command, errors = calibration.camera, calibration.command, np.stack(calibration.errors)
    found = calibrate(errors, bundle.manifest.thresholds.false_reject_rate)
    before, after = thresholds[camera], thresholds.would_be(camera, found)
    failed = (ratios(errors, before) > 1).any(axis=1)
    calibration.detail = {
        **_about(calibration, after),
        "parts": len(errors),
        "odd": found.odd,
        "not_ok_seq": [calibration.seqs[place] for place in np.flatnonzero(failed)[:NAMED]],
        "before": {**_told(before), "rejects": int(failed.sum())},
        "after": {**_told(after), "rejects": int((ratios(errors, after) > 1).any(axis=1).sum())},
    }
    site.require_kinship(found, bundle, camera)
    if command.dry_run:
        return None
    if failed.any() and not command.force:
        raise DataError(
            f"recalibrate: {failed.sum()} of {len(errors)} parts are NotOK now, so nothing was changed; look at "
            "them (`not_ok_seq`), and send `force` where all of them are good."
        )
    site.store(bundle, camera, found, command.by or "")
    return after


def _about(calibration: _Calibration, after: Thresholds) -> dict[str, Any]:
    command = calibration.command
    return {
        "camera": calibration.camera,
        "by": command.by,
        "dry_run": command.dry_run,
        "thresholds_id": after.id,
    }


def _told(thresholds: Thresholds) -> dict[str, Any]:
    return {"thresholds_id": thresholds.id, "values": list(thresholds.values)}
