"""The assembly: everything an inspection stands on, opened whole or not at all, and closed in order."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version

import cv2

from runtime.cameras.camera import Camera
from runtime.cameras.opening import open_camera
from runtime.commands.handler import CommandHandler
from runtime.delivery.opening import open_publisher
from runtime.inference.model_in_use import ModelInUse, open_model
from runtime.settings import InspectionSettings
from runtime.sparkplug.sender import sending_sparkplug
from runtime.station.camera_supervisor import CameraSupervisor
from runtime.station.inspection import Inspection
from runtime.station.judging_loop import JudgingLoop
from runtime.station.picture_capture import PictureCapture
from runtime.station.reporter import Reporter


@contextmanager
def open_inspection(settings: InspectionSettings) -> Iterator[Inspection]:
    """Open the inspection that `settings` describe.

    Raises PwaeError where the bundle, a camera, the backend, the outbox, or the broker's settings are at fault.
    """
    cameras = {name: open_camera(name, camera) for name, camera in settings.cameras.items()}
    model = open_model(settings.station, settings.bundle, settings.asked, settings.site_thresholds())
    with connect(settings, cameras, model) as inspection:
        yield inspection


@contextmanager
def connect(settings: InspectionSettings, cameras: Mapping[str, Camera], model: ModelInUse) -> Iterator[Inspection]:
    """Join `cameras` and `model` to the outbox and the broker, and part with them in order; closes `model`."""
    cv2.setNumThreads(1)  # every camera has a thread of its own, which is parallel enough
    origin, topics = model.origin, settings.topics
    status = {"version": version("p-wae"), "boot_id": origin.boot_id, "simulated": origin.simulated}
    with ExitStack() as stack:
        stack.callback(model.close)
        publisher = stack.enter_context(
            open_publisher(settings.broker, settings.outbox, settings.client_id, topics.status, status)
        )
        if settings.sparkplug is not None:
            streams = {name: camera.streams(name) for name, camera in settings.cameras.items()}
            node = settings.sparkplug.node(settings.station, topics.prefix, streams)
            births = settings.outbox.path.with_suffix(".bdseq")
            sender = stack.enter_context(sending_sparkplug(settings.broker, settings.client_id, node, births))
            publisher.on_acknowledged = sender.take
        pictures = PictureCapture(settings)
        reporter = Reporter(settings, publisher, pictures.display)
        loop = JudgingLoop(model, CommandHandler(settings, publisher, model), pictures, reporter)
        supervisor = CameraSupervisor(cameras, settings, publisher, loop.miss)
        yield Inspection(settings, supervisor, loop, reporter, publisher)
