"""Announcing: the station is told to Home Assistant as a device, and what is configured no more is removed there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from runtime.cameras.settings import LiveCameraSettings, WatchSettings
from runtime.delivery.publisher import Publisher
from runtime.events.home_assistant import HomeAssistantDevice
from runtime.settings import InspectionSettings

NOTE = "told to Home Assistant"


@contextmanager
def announcing(settings: InspectionSettings, publisher: Publisher) -> Iterator[None]:
    """Announce the device where that is asked for, else take back what an earlier run announced."""
    device = _device(settings)
    told: dict[str, dict[str, str]] = json.loads(publisher.outbox.note(NOTE) or b"{}")
    now: dict[str, dict[str, str]] = {}
    if device is not None:
        now = {device.topic: {name: each["platform"] for name, each in device.components().items()}}
        publisher.retain(device.topic, device.payload(told.get(device.topic, {})))
    for topic in told.keys() - now.keys():
        publisher.retain(topic, b"")
    if told != now:
        both = {topic: {**told.get(topic, {}), **now.get(topic, {})} for topic in told.keys() | now.keys()}
        publisher.outbox.keep({NOTE: json.dumps(both).encode()})
    yield
    if publisher.link.was_connected and told != now:
        publisher.outbox.keep({NOTE: json.dumps(now).encode()})


def _device(settings: InspectionSettings) -> HomeAssistantDevice | None:
    if settings.home_assistant is None:
        return None
    live = (LiveCameraSettings, WatchSettings)
    return HomeAssistantDevice(
        settings.home_assistant.discovery_prefix,
        settings.client_id,
        settings.station,
        settings.topics,
        list(settings.streams),
        [name for name, camera in settings.cameras.items() if isinstance(camera, live)],
        version("p-wae"),
        settings.view.address if settings.view else None,
    )
