"""Telling: what goes to the broker, as JSON events and, beside them, as Sparkplug B."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version

from runtime.delivery.opening import open_publisher
from runtime.delivery.publisher import Publisher
from runtime.events.origin import Origin
from runtime.settings import InspectionSettings
from runtime.sparkplug.sender import sending_sparkplug
from runtime.station.announcing import announcing


@contextmanager
def telling(settings: InspectionSettings, origin: Origin) -> Iterator[Publisher]:
    """Open all that tells of what `origin` judges; the publisher is not started. Raises PwaeError."""
    topics = settings.topics
    status = {"version": version("p-wae"), "boot_id": origin.boot_id, "simulated": origin.simulated}
    with ExitStack() as stack:
        publisher = stack.enter_context(
            open_publisher(settings.broker, settings.outbox, settings.client_id, topics.status, status)
        )
        if settings.sparkplug is not None:
            streams = {name: camera.streams(name) for name, camera in settings.cameras.items()}
            node = settings.sparkplug.node(settings.station, topics.prefix, streams)
            births = settings.outbox.path.with_suffix(".bdseq")
            cable = publisher.connector.cable
            sender = stack.enter_context(sending_sparkplug(settings.broker, settings.client_id, node, births, cable))
            publisher.on_acknowledged = sender.take
        stack.enter_context(announcing(settings, publisher))
        yield publisher
