"""Home Assistant's MQTT discovery: the station as one device, its cameras' verdicts as entities. Pure.

What the entities show is what the station tells anyhow: its retained topics. Device-based discovery payload of
https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload (Home Assistant 2024.11 and newer).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.events.encoding import dumps
from runtime.events.topics import Topics
from runtime.parts.verdict import GIVEN

Component = Mapping[str, Any]


@dataclass(frozen=True)
class HomeAssistantDevice:
    """A station as Home Assistant sees it."""

    discovery_prefix: str
    client_id: str
    station: str
    topics: Topics
    streams: Collection[str]
    live: Collection[str]
    """The cameras that tell a state of their own."""
    version: str
    page_url: str | None = None

    @property
    def id(self) -> str:
        """Of letters that Home Assistant takes in a topic."""
        return re.sub(r"[^A-Za-z0-9_-]", "_", self.client_id)

    @property
    def topic(self) -> str:
        """Where the device is described, retained; an empty payload removes it."""
        return f"{self.discovery_prefix}/device/{self.id}/config"

    def components(self) -> dict[str, Component]:
        """Give every entity by its id."""
        found: dict[str, Component] = {
            "problem": {
                "platform": "binary_sensor",
                "name": "Problem",
                "device_class": "problem",
                "state_topic": self.topics.status,
                "value_template": "{{ 'ON' if value_json.reason else 'OFF' }}",
            },
            "model": _sensor("Model", self.topics.model, "name", entity_category="diagnostic"),
        }
        for stream in self.streams:
            last, counters = self.topics.last(stream), self.topics.counters(stream)
            words = {"device_class": "enum", "options": [verdict.word for verdict in GIVEN]}
            found[f"{stream}_verdict"] = _sensor(f"{stream} verdict", last, "verdict.name", **words)
            found[f"{stream}_margin"] = {
                **_sensor(f"{stream} margin", last, "score", state_class="measurement"),
                "value_template": "{{ value_json.score.margin if value_json.score else None }}",
            }
            for verdict in GIVEN:
                name, total = f"{stream} {verdict.word}", {"state_class": "total_increasing"}
                found[f"{stream}_{verdict.key}"] = _sensor(name, counters, verdict.key, **total)
            found[f"{stream}_drift"] = {
                "platform": "binary_sensor",
                "name": f"{stream} drift",
                "device_class": "problem",
                "state_topic": counters,
                "value_template": "{{ 'ON' if value_json.drifts else 'OFF' }}",
            }
        for camera in self.live:
            topic = self.topics.camera_status(camera)
            found[f"{camera}_camera"] = _sensor(f"{camera} camera", topic, "state", entity_category="diagnostic")
        return {name: {**each, "unique_id": f"{self.id}_{name}"} for name, each in found.items()}

    def payload(self, gone: Mapping[str, str]) -> bytes:
        """Describe the device; `gone` are entities of earlier runs with their platforms, which are to be removed."""
        components = self.components()
        removed = {name: {"platform": platform} for name, platform in gone.items() if name not in components}
        device = {"identifiers": [self.id], "name": self.station, "manufacturer": "P-WAE", "sw_version": self.version}
        if self.page_url is not None:
            device["configuration_url"] = self.page_url
        return dumps(
            {
                "device": device,
                "origin": {"name": "P-WAE", "sw_version": self.version},
                "availability_topic": self.topics.status,
                "availability_template": "{{ value_json.state }}",
                "components": {**components, **removed},
            }
        )


def _sensor(name: str, topic: str, key: str, **options: Any) -> dict[str, Any]:
    shown = {"state_topic": topic, "value_template": f"{{{{ value_json.{key} }}}}"}
    return {"platform": "sensor", "name": name, **shown, **options}
