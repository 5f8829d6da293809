"""Home Assistant's discovery: the station as a device, of what it tells anyhow."""

import json
import re
from pathlib import Path
from typing import Any

from tests.runtime.broker import Mosquitto
from tests.runtime.command import at, run_command, write_config
from tests.runtime.contract import asyncapi, channel_of, schema, validator
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S

TOPIC = "homeassistant/device/pwae-site-area-line-test-1/config"
FOLDER = {"kind": "folder", "path": "none"}
LIVE = {"kind": "rtsp", "url": "rtsp://none.example.com/belt"}


def simulate(folder: Path, mosquitto: Mosquitto, cameras: dict[str, Any], **sections: Any) -> None:
    config = write_config(folder, folder / "no-bundle", cameras, broker=at(mosquitto.port), **sections)
    process = run_command("simulate", config, "--parts", "2", "--rate", "50", folder=folder)
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err


def test_the_station_is_a_device_whose_entities_show_what_it_tells_and_what_is_gone_is_removed(
    tmp_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    simulate(tmp_path, mosquitto, {"top": FOLDER, "belt": LIVE}, home_assistant={})
    simulate(tmp_path, mosquitto, {"top": FOLDER}, home_assistant={})
    simulate(tmp_path, mosquitto, {"top": FOLDER})
    mes.wait_for(lambda: len([each for each in mes.messages if each.topic == TOPIC]) == 3)
    *told, taken_back = [each.payload for each in mes.messages if each.topic == TOPIC]
    first, second = (json.loads(payload) for payload in told)
    assert taken_back == b""
    for device in (first, second):
        validator("home_assistant").validate(device)
        assert device["device"]["identifiers"] == ["pwae-site-area-line-test-1"]
    for entity in first["components"].values():
        channel = channel_of(entity["state_topic"])
        (message,) = asyncapi()["channels"][channel]["messages"]
        (path,) = set(re.findall(r"value_json\.([\w.]+)", entity["value_template"])) - {"score"}
        node = schema(message)
        for key in path.split("."):
            node = node["properties"][key]
    assert len({entity["unique_id"] for entity in first["components"].values()}) == len(first["components"])
    removed = {name: entity for name, entity in second["components"].items() if entity.keys() == {"platform"}}
    assert removed.keys() == {name for name in first["components"] if name.startswith("belt")}
