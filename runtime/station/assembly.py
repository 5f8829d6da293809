"""The opening: everything an inspection stands on, opened whole or not at all, and closed in order."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version

import cv2

from runtime.bundles.bundle import Bundle
from runtime.cameras.camera import Camera
from runtime.cameras.opening import open_camera
from runtime.delivery.connection import Connector
from runtime.delivery.embedded_broker import EmbeddedBroker
from runtime.delivery.outbox import Outbox
from runtime.delivery.publisher import Publisher
from runtime.events.origin import Origin
from runtime.events.topics import Topics
from runtime.evidence.archive import Evidence
from runtime.inference.backend import Backend
from runtime.inference.detector import open_detector
from runtime.monitoring.live_view import LiveView
from runtime.settings import InspectionSettings
from runtime.station.inspection import Inspection


@contextmanager
def open_inspection(settings: InspectionSettings) -> Iterator[Inspection]:
    """Open the inspection that `settings` describe.

    Raises PwaeError where the bundle, a camera, the backend, the outbox, or the broker's settings are at fault.
    """
    with ExitStack() as stack:
        cameras = {name: open_camera(name, camera) for name, camera in settings.cameras.items()}
        model = open_detector(settings.bundle, settings.bundle_key, settings.backend, settings.batching.max_batch)
        origin = Origin(
            *(settings.station, str(uuid.uuid4()), model.backend.name, model.bundle.manifest),
            engine_sha256=model.backend.engine_sha256,
        )
        stack.callback(model.backend.close)
        inspection = stack.enter_context(connect(settings, cameras, model.backend, origin, model.bundle))
        try:
            yield inspection
        finally:
            inspection.model.backend.close()  # which may be another by then


@contextmanager
def connect(
    settings: InspectionSettings,
    cameras: Mapping[str, Camera],
    backend: Backend,
    origin: Origin,
    bundle: Bundle | None = None,
) -> Iterator[Inspection]:
    """Join `cameras` and `backend` to the outbox and the broker, and part with them in order."""
    cv2.setNumThreads(1)  # every camera has a thread of its own, which is parallel enough
    with ExitStack() as stack:
        outbox = Outbox(settings.outbox)
        stack.callback(outbox.close)
        if settings.broker.host is None:
            stack.enter_context(EmbeddedBroker(settings.broker.address[1]))
        topics = Topics(settings.prefix)
        connector = Connector(settings.broker, settings.client_id)
        status = {"version": version("p-wae"), "boot_id": origin.boot_id, "simulated": origin.simulated}
        publisher = Publisher(connector, outbox, topics.status, status)
        evidence = Evidence(settings.evidence) if settings.evidence else None
        display = LiveView() if settings.view else None
        yield Inspection(settings, cameras, backend, outbox, publisher, topics, origin, bundle, evidence, display)
