"""Fixtures: an outbox, and publishers that are stopped."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.delivery.publisher import Publisher
from runtime.mqtt.connector import Connector
from runtime.mqtt.settings import BrokerSettings
from runtime.outbox.outbox import Outbox
from runtime.outbox.settings import OutboxSettings

STATUS = "plant/status"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))
    yield box
    box.close()


@pytest.fixture
def publish(outbox: Outbox) -> Iterator[Callable[..., Publisher]]:
    """Start publishers that are stopped at the end of the test."""
    started: list[Publisher] = []

    def start(port: int, **changed: Any) -> Publisher:
        broker = BrokerSettings.model_validate({"host": "127.0.0.1", "port": port, **changed})
        publisher = Publisher(Connector(broker, "station"), outbox, STATUS, {"boot_id": "b"})
        publisher.start()
        started.append(publisher)
        return publisher

    yield start
    for publisher in started:
        publisher.stop("test", 0.0)
        assert publisher.fault is None
