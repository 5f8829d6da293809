"""The remote: carries out commands that came over MQTT, between two batches of a running inspection.

Handlers run on the publisher's thread and only queue; all else belongs to the thread that judges, but for a new bundle,
which is checked, opened and warmed up aside while judging goes on.
"""

import hashlib
import logging
import queue
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import ArtifactError, ConfigError, PwaeError
from core.thresholds import calibrate, parts_needed
from runtime.batching.batch import Batch
from runtime.bundles.bundle import Bundle
from runtime.bundles.site_thresholds import store_site
from runtime.commands.command import Command, parse, reply, verb_of
from runtime.delivery.message import Message, Outgoing
from runtime.delivery.publisher import Publisher
from runtime.events.topics import Topics
from runtime.inference.detector import Detector
from runtime.settings import Verb
from runtime.threads.worker import Worker

log = logging.getLogger(__name__)
LONGEST_QUEUE = 100


@dataclass
class _Calibration:
    message: Message
    by: str
    parts: int
    errors: list[NDArray[np.float32]]


class CommandHandler:
    """Queues commands on the publisher's thread; `serve` and all else run on the thread that judges, until `end`."""

    def __init__(
        self,
        enabled: Collection[Verb],
        topics: Topics,
        publisher: Publisher,
        *,
        cameras: Collection[str],
        model: Bundle | None,
        open_detector: Callable[[Path], Detector],
    ) -> None:
        """Subscribe to the `enabled` verbs. `model` is what judges; None in a simulation, which has none to alter."""
        self.paused = False
        self.new_thresholds = False
        """Whether thresholds were stored that are to be put in force by whoever judges."""
        self._topics, self._publisher, self._cameras, self._model = topics, publisher, cameras, model
        self._open_detector = open_detector
        self._waiting: queue.Queue[Message] = queue.Queue(LONGEST_QUEUE)
        self._opening: tuple[Message, Worker] | None = None
        self._opened: Detector | PwaeError | None = None
        self._snapshots: list[tuple[str, Message]] = []
        self._calibrations: dict[str, _Calibration] = {}
        for verb in enabled:
            publisher.subscribe(topics.command(verb), self._take)

    @property
    def has_model(self) -> bool:
        """Whether a new model waits for the batches under way to end."""
        return isinstance(self._opened, Detector)

    def serve(self) -> None:
        """Carry out what was asked."""
        if isinstance(self._opened, PwaeError) and self._opening is not None:
            self._answer(self._opening[0], error=f"{self._opened} The bundle in use is kept.")
            self._opening = self._opened = None
        while not self._waiting.empty():
            message = self._waiting.get()
            try:
                self._obey(verb_of(message), parse(message), message)
            except PwaeError as error:
                self._answer(message, error=str(error))

    def take_model(self) -> Detector:
        """Hand the new model over; call it between two batches, where `has_model`."""
        if not isinstance(self._opened, Detector) or self._opening is None:
            raise RuntimeError("no new model waits")
        model, (message, _thread) = self._opened, self._opening
        self._model, self._opening, self._opened = model.bundle, None, None
        manifest = model.bundle.manifest
        self._answer(message, detail={"model": manifest.name, "sha256": manifest.model_sha256})
        return model

    def watch(self, batch: Batch, errors: NDArray[np.float32]) -> None:
        """Look at a judged batch, for snapshots and calibrations; `errors` (n, K + 1)."""
        for row, part in enumerate(batch.written if self._snapshots or self._calibrations else []):
            for asked in [each for each in self._snapshots if each[0] == part.camera]:
                self._snapshots.remove(asked)
                self._send_snapshot(part.camera, batch.buffer[row], asked[1])
            calibration = self._calibrations.get(part.camera)
            if calibration and not part.faults and np.isfinite(errors[row]).all():
                calibration.errors.append(errors[row].copy())
                if len(calibration.errors) == calibration.parts:
                    del self._calibrations[part.camera]
                    self._calibrate(part.camera, calibration)

    def end(self) -> None:
        """Tell those who still wait that nothing comes any more."""
        if isinstance(self._opened, Detector):
            self._opened.backend.close()
        asked = [message for _camera, message in self._snapshots]
        asked += [calibration.message for calibration in self._calibrations.values()]
        asked += [self._opening[0]] if self._opening else []
        for message in asked:
            self._answer(message, error="the inspection ended first.")

    def _take(self, message: Message) -> None:
        if message.retained:
            log.warning("a retained message on %s is no command; nobody should send it so", message.topic)
            return
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            self._answer(message, error=f"more than {LONGEST_QUEUE} commands at once.")

    def _obey(self, verb: str, command: Command, message: Message) -> None:
        log.info("command %s by=%r request_id=%r", verb, command.by, command.request_id)
        if verb in ("pause", "resume"):
            self.paused = verb == "pause"
            self._answer(message, detail={"paused": self.paused})
        elif verb == "snapshot":
            if self.paused:
                raise ConfigError("snapshot: the inspection is paused; resume it first.")
            self._snapshots.append((self._camera(command), message))
        elif verb == "reload":
            self._reload(command, message)
        else:
            self._recalibrate(command, message)

    def _camera(self, command: Command) -> str:
        camera = command.camera or (next(iter(self._cameras)) if len(self._cameras) == 1 else None)
        if camera is None or camera not in self._cameras:
            raise ConfigError(f"`camera`: one of {', '.join(self._cameras)}.")
        return camera

    def _bundle(self) -> Bundle:
        if self._model is None:
            raise ConfigError("a simulation has no bundle.")
        return self._model

    def _reload(self, command: Command, message: Message) -> None:
        bundle = self._bundle()
        if self._opening is not None:
            raise ConfigError("reload: another one is under way.")
        path = bundle.path.resolve().with_name(command.bundle) if command.bundle else bundle.path

        def prepare() -> None:
            try:
                model = self._open_detector(path)
                old, new = bundle.manifest, model.bundle.manifest
                if (old.height, old.width, old.part_size) != (new.height, new.width, new.part_size):
                    model.backend.close()
                    raise ArtifactError(
                        f"{path}: takes {new.width} x {new.height} pixels (part {new.part_size}), "
                        f"the one in use {old.width} x {old.height} (part {old.part_size}); restart with it."
                    )
                self._opened = model
            except PwaeError as error:
                self._opened = error
            except Exception as error:  # whatever a bundle does, the one in use goes on
                self._opened = ArtifactError(f"{path}: cannot be used ({error}).")

        self._opening = message, Worker("reload", prepare)
        self._opening[1].start()

    def _recalibrate(self, command: Command, message: Message) -> None:
        manifest, camera = self._bundle().manifest, self._camera(command)
        if command.by is None or command.parts is None:
            raise ConfigError("recalibrate: `by` and `parts` are needed.")
        least = parts_needed(manifest.thresholds.false_reject_rate)
        if command.parts < least:
            raise ConfigError(
                f"recalibrate: {command.parts} parts cannot promise a false-reject rate of "
                f"{manifest.thresholds.false_reject_rate:.1%}; ask for at least {least}."
            )
        if camera in self._calibrations:
            raise ConfigError(f"recalibrate: camera {camera} is being calibrated already.")
        self._calibrations[camera] = _Calibration(message, command.by, command.parts, [])

    def _calibrate(self, camera: str, calibration: _Calibration) -> None:
        bundle = self._bundle()
        rate = bundle.manifest.thresholds.false_reject_rate
        try:
            thresholds = calibrate(np.stack(calibration.errors), rate)
            store_site(bundle.path, bundle.manifest.model_sha256, camera, thresholds, calibration.by)
        except PwaeError as error:
            self._answer(calibration.message, error=str(error))
            return
        self.new_thresholds = True
        detail = {
            "camera": camera,
            "thresholds_id": thresholds.id,
            "parts": len(calibration.errors),
            "odd": thresholds.odd,
            "by": calibration.by,
        }
        self._answer(calibration.message, detail=detail)

    def _send_snapshot(self, camera: str, pixels_bgr_u8: NDArray[np.uint8], message: Message) -> None:
        jpeg = cv2.imencode(".jpg", pixels_bgr_u8)[1].tobytes()
        topic = self._topics.snapshot(camera)
        self._publisher.send(Outgoing(topic, jpeg, media_type="image/jpeg", correlation=message.correlation))
        digest = hashlib.sha256(jpeg).hexdigest()
        self._answer(message, detail={"camera": camera, "topic": topic, "bytes": len(jpeg), "sha256": digest})

    def _answer(self, message: Message, *, error: str | None = None, detail: dict[str, Any] | None = None) -> None:
        if error:
            log.warning("command %s refused: %s", verb_of(message), error)
        self._publisher.send(reply(message, self._topics.command_reply, error=error, detail=detail))
