"""The command handler: carries out commands that came over MQTT, between two batches of a running inspection."""

import logging
import queue
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.errors import ConfigError, PwaeError, one_line
from runtime.commands.command import Command, Rate, parse
from runtime.commands.recalibration import Recalibrations
from runtime.commands.reload import Reload
from runtime.commands.replies import Replies
from runtime.commands.resend import resend
from runtime.commands.snapshot import Snapshots
from runtime.delivery.publisher import Publisher
from runtime.events.event import JudgedPart
from runtime.inference.models import Models
from runtime.mqtt.message import Message
from runtime.settings import InspectionSettings

log = logging.getLogger(__name__)
LONGEST_QUEUE = 100
KEPT = "it waited at the broker while this station was away, and may be old, so nothing was done; send it again."
Act = Callable[[Command], Mapping[str, Any]]
"""Does at once what a command asks, and gives the reply's detail. Raises PwaeError where it is refused."""


class CommandHandler:
    """Queues commands on the publisher's thread; `serve` and all else run on the thread that judges, until `end`."""

    def __init__(
        self, settings: InspectionSettings, publisher: Publisher, models: Models, others: Mapping[str, Act]
    ) -> None:
        """Hear the verbs that `settings` allow, and refuse those that they do not; `others` are not of this module."""
        topics = settings.topics
        self.pause = ""
        """Who holds the judging, in words; empty while nobody does."""
        self._cameras = settings.streams
        self._publisher = publisher
        self._models = models
        self._replies = Replies(publisher, topics)
        self._waiting: queue.Queue[Message] = queue.Queue(LONGEST_QUEUE)
        self._snapshots = Snapshots(publisher, topics, self._replies)
        self._recalibrations = Recalibrations(self._replies, settings.evidence.folder if settings.evidence else None)
        self._reload = Reload(self._replies)
        self._others = others
        self._rate = Rate()
        self._allowed = settings.commands
        if self._allowed:
            publisher.subscribe(topics.command("+"), self._take)

    @property
    def has_new_model(self) -> bool:
        """Whether a new model waits for the batches under way to end."""
        return self._reload.is_ready

    def use_new_model(self) -> str | None:
        """Let the new model take over, between two batches: what the old one said of parts counts no more.

        Says whose place it took: by the recipe of the origin.
        """
        model, detector = self._reload.take()
        self._recalibrations.cancel("another model took over; ask again.", model)
        model.recovery.cancel()
        model.use(detector)
        return model.origin.recipe

    def serve(self) -> None:
        """Carry out what was asked."""
        self._snapshots.look()
        self._reload.look()
        if not self._reload.is_under_way:
            self._recalibrations.look()
        for _ in range(self._waiting.qsize()):  # what comes meanwhile has its turn behind the next batch
            message = self._waiting.get()
            try:
                self._obey(message.last_level, parse(message), message)
            except PwaeError as error:
                self._replies.refuse(message, str(error))
            except Exception as error:  # whatever somebody sends, the judging goes on
                self._replies.refuse(message, f"{message.last_level}: it failed ({one_line(error)}).")

    def watch(self, judged: Sequence[JudgedPart]) -> None:
        """Look at the parts of a batch that was judged, for snapshots and thresholds."""
        for part in judged:
            self._snapshots.watch(part.part)
            self._recalibrations.watch(part)

    def end(self) -> None:
        """Tell those who still wait that nothing comes any more."""
        waiting = (*self._snapshots.end(), *self._recalibrations.end(), *self._reload.end())
        for message in waiting:
            self._replies.refuse(message, "the inspection ended first.")

    def _take(self, message: Message) -> None:
        if self._rate.is_exceeded():
            return
        if message.retained:
            log.warning("a retained message on %s is ignored; send commands without retain", message.topic)
            return
        if message.was_kept:  # some brokers keep what is sent with QoS 0, too
            self._replies.refuse(message, KEPT)
            return
        if message.last_level not in self._allowed:
            self._replies.refuse(message, f"no such command here; `commands` lists {', '.join(self._allowed)}.")
            return
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            self._replies.refuse(message, f"more than {LONGEST_QUEUE} commands at once.")

    def _obey(self, verb: str, command: Command, message: Message) -> None:
        log.info("command %s by=%r request_id=%r", verb, command.by, command.request_id)
        match verb:
            case "pause" | "resume":
                self.pause = f"paused by {command.by or 'a command'}" if verb == "pause" else ""
                log.warning("judging %s", self.pause or "goes on")
                self._replies.done(message, {"paused": bool(self.pause)})
            case "snapshot":
                if self.pause:
                    raise ConfigError("snapshot: the inspection is paused; resume it first.")
                self._snapshots.ask(self._camera(command), message)
            case "reload":
                if self._recalibrations.is_storing:
                    raise ConfigError("reload: thresholds of the model in use are being stored; ask again.")
                self._reload.begin(self._models.named(command.recipe), command, message)
            case "resend":
                again, boot_id = self._publisher.outbound.again, self._models.default.origin.boot_id
                self._replies.done(message, resend(again, self._cameras, boot_id, command))
                self._publisher.notify()
            case _ if verb in self._others:
                self._replies.done(message, self._others[verb](command))
            case _:
                model = self._models.named(command.recipe)
                self._recalibrations.begin(self._camera(command), command, message, model)

    def _camera(self, command: Command) -> str:
        camera = command.camera or (next(iter(self._cameras)) if len(self._cameras) == 1 else None)
        if camera is None or camera not in self._cameras:
            raise ConfigError(f"`camera`: one of {', '.join(self._cameras)}.")
        return camera
