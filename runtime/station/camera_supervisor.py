"""The camera supervisor: the cameras of a station, their threads, and what the world is told of them."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from core.errors import one_line
from runtime.actuator.verdicts import Verdicts
from runtime.batching.batcher import Batcher
from runtime.batching.feed import Feed
from runtime.batching.task import Assign
from runtime.cameras.camera import Camera
from runtime.delivery.publisher import Publisher
from runtime.events.camera_status import camera_card
from runtime.parts.part import Part
from runtime.settings import InspectionSettings
from runtime.station.gone_cameras import clear_gone, forget_gone
from runtime.station.triggers import trigger_handler

log = logging.getLogger(__name__)
LEAVE_S = 0.3
"""How long the cameras of a stopped inspection are waited for; one that blocks is left behind."""


class CameraSupervisor:
    """Starts a feed for each camera, stops them, and tells their state. Belongs to the thread that judges."""

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        settings: InspectionSettings,
        publisher: Publisher,
        verdicts: Verdicts,
        miss: Callable[[Sequence[Part]], None],
    ) -> None:
        """`cameras` are those that `settings` name; `verdicts` are due of their parts.

        `miss` stores events of parts without a frame, on any thread.
        """
        self.feeds: list[Feed] = []
        self._cameras = cameras
        self._settings = settings.cameras
        self._by_stream = {stream: cameras[name] for name in cameras for stream in settings.cameras[name].streams(name)}
        self._publisher = publisher
        self._topics = settings.topics
        self._verdicts = verdicts
        self._triggers = trigger_handler(cameras, settings, publisher, verdicts, miss)
        self._told: dict[str, tuple[object, ...]] = {}
        self._mourned: set[str] = set()

    @property
    def frames_total(self) -> int | None:
        """How many parts there will be; None where a camera never ends."""
        totals = [camera.frames_total for camera in self._by_stream.values()]
        return None if None in totals else sum(total for total in totals if total is not None)

    @property
    def dropped(self) -> dict[str, int]:
        """Of each live camera: frames that gave way to a newer one."""
        return {name: status.dropped for name, camera in self._cameras.items() if (status := camera.status())}

    @property
    def states(self) -> dict[str, tuple[str, str]]:
        """Of each stream of parts whose camera was started, and why it gives nothing."""
        return {stream: feed.state for feed in self.feeds for stream in feed.streams}

    @property
    def unlike(self) -> dict[str, str]:
        """Of each stream whose pictures differ from all that trained: how, and what to do about it."""
        return {stream: words for feed in self.feeds for stream, words in feed.unlike.words().items()}

    @property
    def faults(self) -> dict[str, BaseException]:
        """What killed the cameras that ended by a fault, by their threads' names. The others go on."""
        return {feed.name: feed.fault for feed in self.feeds if feed.fault is not None}

    def listen(self) -> None:
        """Let the cameras know what was judged before, and hear their triggers. Before the publisher starts."""
        clear_gone(self._publisher, self._topics, self._names)
        for camera in self._cameras.values():
            camera.remember_by(self._publisher.outbox)
        for name in self._triggers.refused:
            self._publisher.subscribe_lasting(self._topics.trigger(name), self._triggers.handle)

    def start(self, batcher: Batcher, assign: Assign) -> None:
        """Let the cameras fill the batches of `batcher` with what is judged of their frames, as `assign` says."""
        self.feeds = [
            Feed(name, camera, self._settings[name], batcher, assign, self._expect)
            for name, camera in self._cameras.items()
        ]
        for feed in self.feeds:
            feed.start()

    def judged(self, parts: Sequence[Part]) -> None:
        """Tell the cameras which of their frames are done with: the parts' events are on disk."""
        for part in parts:
            if part.cause is not None and part.trigger is not None:
                self._triggers.stored(part.trigger)
            elif part.cause is not None:
                self._by_stream[part.camera].judged(part.cause)

    def tell(self) -> None:
        """Tell the state of each live camera when it changes; its figures are those of that moment."""
        for name, camera in self._cameras.items():
            status = camera.status()
            if status is None:
                continue
            refused = self._triggers.refused.get(name, 0)
            what = (status.state, status.reason, status.reconnects, refused)
            if what != self._told.get(name):
                self._told[name] = what
                self._publisher.retain(self._topics.camera_status(name), camera_card(status, refused))
        for thread, fault in self.faults.items():
            if thread not in self._mourned:
                self._mourned.add(thread)
                log.error(
                    "%s died, the others go on reason=%r remedy=%r", thread, one_line(fault), "restart; report it"
                )
        for name, feed in zip(self._cameras, self.feeds, strict=False):
            if feed.fault is not None:
                self._triggers.gone(name)

    def stop(self) -> None:
        """End the feeds, wait for them as long as is decent, and tell where the cameras stand then."""
        until_s = time.monotonic() + LEAVE_S
        for feed in self.feeds:
            feed.stop()
        for feed in self.feeds:
            feed.join(max(0.0, until_s - time.monotonic()))
        self._triggers.end()
        self.tell()
        forget_gone(self._publisher, self._names)

    def _expect(self, part: Part) -> None:
        """On the camera's thread: its part goes to be judged."""
        if part.trigger is not None:
            self._triggers.met(part.trigger)
        self._verdicts.expect(part)

    @property
    def _names(self) -> set[str]:
        """By which something is retained of a camera: its own, and those of its regions."""
        return {*self._cameras, *self._by_stream}
