"""The command handler: carries out commands that came over MQTT, between two batches of a running inspection."""

import logging
import queue

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, PwaeError
from runtime.batching.batch import Batch
from runtime.commands.command import Command, parse, verb_of
from runtime.commands.recalibration import Recalibrations
from runtime.commands.reload import Reload
from runtime.commands.replies import Replies
from runtime.commands.snapshot import Snapshots
from runtime.delivery.message import Message
from runtime.delivery.publisher import Publisher
from runtime.inference.model_in_use import ModelInUse
from runtime.settings import InspectionSettings

log = logging.getLogger(__name__)
LONGEST_QUEUE = 100


class CommandHandler:
    """Queues commands on the publisher's thread; `serve` and all else run on the thread that judges, until `end`."""

    def __init__(self, settings: InspectionSettings, publisher: Publisher, model: ModelInUse) -> None:
        """Subscribe to the verbs that `settings` allow."""
        topics = settings.topics
        self.paused = False
        self._cameras = settings.streams
        self._model = model
        self._replies = Replies(publisher, topics)
        self._waiting: queue.Queue[Message] = queue.Queue(LONGEST_QUEUE)
        self._snapshots = Snapshots(publisher, topics, self._replies)
        self._recalibrations = Recalibrations(self._replies, model.read_thresholds)
        self.reload = Reload(model.open, self._replies)
        for verb in settings.commands:
            publisher.subscribe(topics.command(verb), self._take)

    def serve(self) -> None:
        """Carry out what was asked."""
        self.reload.look()
        while not self._waiting.empty():
            message = self._waiting.get()
            try:
                self._obey(verb_of(message), parse(message), message)
            except PwaeError as error:
                self._replies.refuse(message, str(error))

    def watch(self, batch: Batch, errors: NDArray[np.float32]) -> None:
        """Look at a judged batch, for snapshots and recalibrations; `errors` (n, K + 1)."""
        for row, part in enumerate(batch.written):
            self._snapshots.watch(part.camera, batch.buffer[row])
            self._recalibrations.watch(part, errors[row], self._model.bundle)

    def end(self) -> None:
        """Tell those who still wait that nothing comes any more."""
        for message in (*self._snapshots.end(), *self._recalibrations.end(), *self.reload.end()):
            self._replies.refuse(message, "the inspection ended first.")

    def _take(self, message: Message) -> None:
        if message.retained:
            log.warning("a retained message on %s is no command; nobody should send it so", message.topic)
            return
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            self._replies.refuse(message, f"more than {LONGEST_QUEUE} commands at once.")

    def _obey(self, verb: str, command: Command, message: Message) -> None:
        log.info("command %s by=%r request_id=%r", verb, command.by, command.request_id)
        match verb:
            case "pause" | "resume":
                self.paused = verb == "pause"
                self._replies.done(message, {"paused": self.paused})
            case "snapshot":
                if self.paused:
                    raise ConfigError("snapshot: the inspection is paused; resume it first.")
                self._snapshots.ask(self._camera(command), message)
            case "reload":
                self.reload.begin(self._model.require_bundle(), command, message)
            case _:
                bundle = self._model.require_bundle()
                self._recalibrations.begin(self._camera(command), command, message, bundle)

    def _camera(self, command: Command) -> str:
        camera = command.camera or (next(iter(self._cameras)) if len(self._cameras) == 1 else None)
        if camera is None or camera not in self._cameras:
            raise ConfigError(f"`camera`: one of {', '.join(self._cameras)}.")
        return camera
