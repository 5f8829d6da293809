"""The published contract (AsyncAPI and JSON Schema), as a check of what was really sent."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import yaml
from jsonschema import Draft202012Validator

from runtime import events

SCHEMAS = Path(events.__file__).parent / "schemas"
PREFIX = "pwae/site/area/line/test-1"


@cache
def asyncapi() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text())
    return content


def schema(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return content


def closed(node: Any) -> Any:
    """The schema with unknown keys refused: consumers must bear new keys, our tests must know every one."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: closed(value) for key, value in node.items()}
    return {"additionalProperties": False, **kept} if isinstance(node.get("properties"), dict) else kept


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(closed(schema(name)))


def channel_of(topic: str, prefix: str = PREFIX) -> str:
    for name, channel in asyncapi()["channels"].items():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(channel["address"].replace("{prefix}", prefix)))
        if re.fullmatch(pattern, topic):
            return str(name)
    raise AssertionError(f"{topic} is no channel of asyncapi.yaml")


def check(message: paho.MQTTMessage, prefix: str = PREFIX) -> str:
    """Validate one message against its channel. Returns the channel's name."""
    channel = channel_of(message.topic, prefix)
    (name,) = asyncapi()["channels"][channel]["messages"]
    described = asyncapi()["components"]["messages"][name]
    if "payload" in described:
        validator(name).validate(json.loads(message.payload))
    if message.properties is not None:  # over MQTT 5
        media_type = described.get("contentType", asyncapi()["defaultContentType"])
        assert getattr(message.properties, "ContentType", None) == media_type, message.topic
    operation = asyncapi()["operations"][f"send-{channel}"]
    assert message.qos == operation["bindings"]["mqtt"]["qos"], message.topic
    return channel
