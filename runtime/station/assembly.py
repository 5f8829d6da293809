"""The assembly: everything an inspection stands on, opened whole or not at all, and closed in order."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import cv2

from runtime.actuator.verdicts import Verdicts
from runtime.cameras.camera import Camera
from runtime.cameras.opening import open_camera
from runtime.commands.handler import CommandHandler
from runtime.inference.models import Models, open_models
from runtime.settings import InspectionSettings
from runtime.station.camera_supervisor import CameraSupervisor
from runtime.station.inspection import Inspection
from runtime.station.judging_loop import JudgingLoop
from runtime.station.picture_capture import PictureCapture
from runtime.station.reporter import Reporter
from runtime.station.telling import telling


@contextmanager
def open_inspection(settings: InspectionSettings) -> Iterator[Inspection]:
    """Open the inspection that `settings` describe.

    Raises PwaeError where the bundle, a camera, the backend, the outbox, or the broker's settings are at fault.
    """
    cameras = {name: open_camera(name, camera, settings.kept_folders) for name, camera in settings.cameras.items()}
    site = settings.site_thresholds()
    models = open_models(settings.station, settings.bundle, settings.bundles, settings.asked, site)
    with connect(settings, cameras, models) as inspection:
        yield inspection


@contextmanager
def connect(settings: InspectionSettings, cameras: Mapping[str, Camera], models: Models) -> Iterator[Inspection]:
    """Join `cameras` and `models` to the outbox and the broker, and disconnect them in order; closes `models`."""
    cv2.setNumThreads(1)  # every camera has a thread of its own, which is parallel enough
    with ExitStack() as stack:
        stack.callback(models.close)
        publisher = stack.enter_context(telling(settings, models.default.origin))
        pictures = PictureCapture(settings)
        reporter = Reporter(settings, publisher, pictures.display)
        commands = CommandHandler(settings, publisher, models, {"job": reporter.jobs.begin})
        verdicts = Verdicts(settings.verdicts, publisher, settings.topics.verdict, settings.modbus)
        loop = JudgingLoop(models, commands, pictures, reporter, verdicts)
        supervisor = CameraSupervisor(cameras, settings, publisher, verdicts, loop.miss)
        yield Inspection(settings, supervisor, loop, reporter, publisher)
