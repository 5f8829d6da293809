"""A collection: the station's cameras film good parts into a folder in MVTec layout. No model is needed."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cv2

from core.datasets.collected import Collected, save_collected
from core.datasets.layout import GOOD, is_taken, require_apart
from core.errors import ConfigError
from runtime.cameras.camera import Camera
from runtime.cameras.filming import Filming
from runtime.cameras.opening import open_camera
from runtime.collecting.selection import shows_a_part_again
from runtime.collecting.stream import Stream
from runtime.commands.trigger_messages import TriggerHandler
from runtime.delivery.opening import open_publisher
from runtime.settings import InspectionSettings
from runtime.threads.worker import Worker, join_all

LEAVE_S = 0.3
"""How long the cameras of a stopped collection are waited for; one that blocks is left behind."""
GOODBYE_S = 0.3
STATUS = "collecting pictures of good parts: nothing is judged"


class Collection:
    """What is filmed, until each stream has its pictures or the cameras end."""

    def __init__(self, streams: Mapping[str, Stream], cameras: Sequence[Worker], helpers: Sequence[Worker]) -> None:
        """Look after `cameras`, which fill `streams`, and the `helpers` that they need."""
        self.streams = streams
        self._cameras = cameras
        self._helpers = helpers

    @property
    def kept(self) -> int:
        """Pictures of all streams."""
        return sum(stream.kept for stream in self.streams.values())

    @property
    def wanted(self) -> int:
        """How many pictures of all streams there are to be."""
        return sum(stream.wanted for stream in self.streams.values())

    @property
    def left_out(self) -> Counter[str]:
        """Of all streams, by the reason."""
        return sum((stream.left_out.copy() for stream in self.streams.values()), Counter[str]())

    def is_over(self, wait_s: float) -> bool:
        """Wait a while; whether no camera films any more. Raises what ended one, such as a full disk."""
        join_all(self._cameras, wait_s)
        for worker in (*self._cameras, *self._helpers):
            if worker.fault is not None:
                raise worker.fault
        return not any(camera.is_alive() for camera in self._cameras)


@contextmanager
def collecting(settings: InspectionSettings, pictures: int, output: Path) -> Iterator[Collection]:
    """Film `pictures` pictures of each stream of `settings` into the folder `output` while the context lasts.

    Where a camera is triggered over MQTT, the broker is told that nothing is judged. Raises ConfigError where pictures
    lie in `output` already, or a camera would film what is put there, CameraError, and what `open_publisher` raises.
    """
    require_apart(output, settings.picture_folders)
    if is_taken(output):
        raise ConfigError(f"{output}: exists already and is kept; give another --output, training takes several.")
    cv2.setNumThreads(1)  # every camera has a thread of its own, which is parallel enough
    cameras = {name: open_camera(name, camera, settings.kept_folders) for name, camera in settings.cameras.items()}
    folder = output / "train" / GOOD
    folder.mkdir(parents=True, exist_ok=True)
    save_collected(output, Collected(may_show_a_part_again=any(map(shows_a_part_again, settings.cameras.values()))))
    streams: dict[str, Stream] = {}
    workers, stopping, triggers = [], threading.Event(), _triggers(cameras)
    for name, camera in cameras.items():
        own = settings.cameras[name]
        of_camera = {each: Stream(each, own, roi, folder, pictures) for each, roi in own.streams(name).items()}
        streams |= of_camera
        filming = Filming(f"camera {name}", camera, own)
        film = partial(_film, camera, filming, list(of_camera.values()), stopping, triggers)
        workers.append(Worker(f"camera {name}", film))
    with ExitStack() as stack:
        helpers = stack.enter_context(_hearing(settings, triggers))
        stack.callback(_leave, workers, stopping)
        for worker in workers:
            worker.start()
        yield Collection(streams, workers, helpers)


def _triggers(cameras: Mapping[str, Camera]) -> TriggerHandler:
    """Take the triggers of those cameras that take any. A part without a frame gives no picture, and that is all."""
    triggered = {name: camera.triggered for name, camera in cameras.items() if camera.triggered is not None}
    return TriggerHandler(triggered, lambda _message: None, None, lambda _missed: None)


@contextmanager
def _hearing(settings: InspectionSettings, triggers: TriggerHandler) -> Iterator[list[Worker]]:
    """Hear `triggers` where there are cameras for them; give the threads that do."""
    if not triggers.refused:
        yield []
        return
    topics = settings.topics
    status = {"version": version("p-wae"), "boot_id": str(uuid.uuid4()), "simulated": False}
    with open_publisher(settings.broker, settings.outbox, settings.client_id, topics.status, status) as publisher:
        for name in triggers.refused:
            publisher.subscribe(topics.trigger(name), lambda message: triggers.handle([message]))
        publisher.tell(STATUS)
        publisher.start()
        try:
            yield [publisher]
        finally:
            publisher.stop("collected", GOODBYE_S)


def _film(
    camera: Camera,
    filming: Filming,
    streams: Sequence[Stream],
    stopping: threading.Event,
    triggers: TriggerHandler,
) -> None:
    try:
        for waiting in filming.frames(stopping):
            frame = filming.newest(waiting)
            for stream in streams:
                if not stream.is_full:
                    stream.take(frame)
            if frame.trigger is not None:
                triggers.stored(frame.trigger)
            if all(stream.is_full for stream in streams):
                break
        for stream in streams:
            stream.settle()
    finally:
        camera.close()


def _leave(workers: Sequence[Worker], stopping: threading.Event) -> None:
    stopping.set()
    join_all(workers, LEAVE_S)
