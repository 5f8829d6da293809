"""New thresholds of a camera, worked out from good parts and stored beside the bundle, and what is told of them."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError, OutboxError, one_line
from core.thresholds import Thresholds, calibrate, ratios
from runtime.bundles.bundle import Bundle
from runtime.bundles.site_thresholds import SiteThresholds
from runtime.commands.command import Command
from runtime.history.file import HistoryFile
from runtime.history.marks import errors_of_good
from runtime.inference.model_in_use import ModelInUse
from runtime.inference.thresholds_in_force import ThresholdsInForce
from runtime.mqtt.message import Message

NAMED = 20
"""The reply names so many of the parts that are NotOK now."""


@dataclass
class Recalibration:
    """What one command asked for, and the result so far."""

    message: Message
    command: Command
    camera: str
    model: ModelInUse
    """Whose thresholds they are."""
    evidence: Path | None
    """Where parts are marked; None: nowhere."""
    errors: list[NDArray[np.float64]] = field(default_factory=list)
    """Of each part (K + 1,)."""
    seqs: list[int] = field(default_factory=list)
    """Of each part."""
    refused: str = ""
    """Why nothing was stored; empty where all went well."""
    detail: dict[str, Any] = field(default_factory=dict)
    after: Thresholds | None = None
    """To be put in force; None: nothing changes."""


def set_back(
    recalibration: Recalibration, bundle: Bundle, thresholds: ThresholdsInForce, site: SiteThresholds
) -> Thresholds | None:
    """Let the bundle's thresholds hold again: give them; None where this only tells. Raises ArtifactError."""
    camera, command = recalibration.camera, recalibration.command
    before, after = thresholds[camera], thresholds.would_be(camera, None)
    recalibration.detail = {**_about(recalibration, after), "before": _told(before), "after": _told(after)}
    if command.dry_run:
        return None
    site.store(bundle, camera, None, command.by or "")
    return after


def set_from_parts(
    recalibration: Recalibration, bundle: Bundle, thresholds: ThresholdsInForce, site: SiteThresholds
) -> Thresholds | None:
    """Work thresholds out from the parts and store them: give them; None where this only tells.

    Raises DataError where the parts are no use for that, ArtifactError or OutboxError where a file is not.
    """
    camera, command = recalibration.camera, recalibration.command
    outputs = len(bundle.manifest.thresholds.values)
    next_parts = np.reshape(recalibration.errors, (-1, outputs))
    marked = np.reshape(_marked(recalibration, bundle), (-1, outputs))
    errors = np.concatenate([next_parts, marked])
    found = calibrate(errors, bundle.manifest.thresholds.false_reject_rate)
    before, after = thresholds[camera], thresholds.would_be(camera, found)
    # Of those that were marked somebody has said already that they were good.
    failed = (ratios(next_parts, before) > 1).any(axis=1)
    recalibration.detail = {
        **_about(recalibration, after),
        "parts": len(errors),
        "marked": len(marked),
        "odd": found.odd,
        "not_ok_seq": [recalibration.seqs[place] for place in np.flatnonzero(failed)[:NAMED]],
        "before": {**_told(before), "rejects": _rejects(errors, before)},
        "after": {**_told(after), "rejects": _rejects(errors, after)},
    }
    site.require_kinship(found, bundle, camera)
    if command.dry_run:
        return None
    if failed.any() and not command.force:
        raise DataError(
            f"recalibrate: {failed.sum()} of {len(next_parts)} parts are NotOK now, so nothing was changed; look at "
            "them (`not_ok_seq`), and send `force` where all of them are good."
        )
    site.store(bundle, camera, found, command.by or "")
    return after


def _marked(recalibration: Recalibration, bundle: Bundle) -> NDArray[np.float64]:
    """Give the errors (M, K + 1) of parts that were marked as good, where they are asked for. Raises OutboxError."""
    if recalibration.evidence is None or not recalibration.command.marked:
        return np.empty(0)
    file = HistoryFile(recalibration.evidence)
    try:
        return errors_of_good(file, recalibration.camera, bundle.manifest.model_sha256)
    except sqlite3.Error as error:
        raise OutboxError(f"recalibrate: the marks cannot be read ({one_line(error)}); ask again.") from error


def _about(recalibration: Recalibration, after: Thresholds) -> dict[str, Any]:
    command = recalibration.command
    return {
        "camera": recalibration.camera,
        "by": command.by,
        "dry_run": command.dry_run,
        "thresholds_id": after.id,
    }


def _rejects(errors: NDArray[np.float64], thresholds: Thresholds) -> int:
    return int((ratios(errors, thresholds) > 1).any(axis=1).sum())


def _told(thresholds: Thresholds) -> dict[str, Any]:
    return {"thresholds_id": thresholds.id, "values": list(thresholds.values)}
