"""Recalibration: a camera's thresholds from its next good parts, stored beside the bundle."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, PwaeError
from core.thresholds import calibrate, parts_needed
from runtime.bundles.bundle import Bundle
from runtime.bundles.site_thresholds import store_site
from runtime.commands.command import Command
from runtime.commands.replies import Replies
from runtime.delivery.message import Message
from runtime.parts.part import Part


@dataclass(frozen=True)
class _Calibration:
    message: Message
    by: str
    parts: int
    errors: list[NDArray[np.float32]] = field(default_factory=list)


class Recalibrations:
    """Those under way, one a camera. Belongs to the thread that judges."""

    def __init__(self, replies: Replies, on_stored: Callable[[], None]) -> None:
        """`on_stored` is told that thresholds were stored, which are to be put in force."""
        self._replies = replies
        self._on_stored = on_stored
        self._under_way: dict[str, _Calibration] = {}

    def begin(self, camera: str, command: Command, message: Message, bundle: Bundle) -> None:
        """Gather the errors of the next parts of `camera`. Raises ConfigError where that can promise nothing."""
        rate = bundle.manifest.thresholds.false_reject_rate
        if command.by is None or command.parts is None:
            raise ConfigError("recalibrate: `by` and `parts` are needed.")
        least = parts_needed(rate)
        if command.parts < least:
            raise ConfigError(
                f"recalibrate: {command.parts} parts cannot promise a false-reject rate of {rate:.1%}; "
                f"ask for at least {least}."
            )
        if camera in self._under_way:
            raise ConfigError(f"recalibrate: camera {camera} is being calibrated already.")
        self._under_way[camera] = _Calibration(message, command.by, command.parts)

    def watch(self, part: Part, errors: NDArray[np.float32], bundle: Bundle | None) -> None:
        """Look at a judged part, whose errors (K + 1,) `bundle` gave; one that cannot be judged does not count."""
        calibration = self._under_way.get(part.camera)
        if calibration is None or bundle is None or part.faults or not np.isfinite(errors).all():
            return
        calibration.errors.append(errors.copy())
        if len(calibration.errors) == calibration.parts:
            del self._under_way[part.camera]
            self._store(part.camera, calibration, bundle)

    def end(self) -> list[Message]:
        """Give those who wait in vain."""
        return [calibration.message for calibration in self._under_way.values()]

    def _store(self, camera: str, calibration: _Calibration, bundle: Bundle) -> None:
        manifest = bundle.manifest
        try:
            thresholds = calibrate(np.stack(calibration.errors), manifest.thresholds.false_reject_rate)
            store_site(bundle.path, manifest, camera, thresholds, calibration.by)
        except PwaeError as error:
            self._replies.refuse(calibration.message, str(error))
            return
        self._on_stored()
        detail = {
            "camera": camera,
            "thresholds_id": thresholds.id,
            "parts": len(calibration.errors),
            "odd": thresholds.odd,
            "by": calibration.by,
        }
        self._replies.done(calibration.message, detail)
