"""The contract with the MES, held against what a real broker was given."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from runtime.parts.verdict import Reason, Verdict
from tests.runtime.broker import Mosquitto
from tests.runtime.command import run_command, write_config
from tests.runtime.contract import SCHEMAS, asyncapi, check, schema
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.waiting import WAIT_S


def test_all_that_an_inspection_publishes_is_in_the_contract(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", good=10, bad=3)
    (pictures / "cut.png").write_bytes(b"no picture")
    cv2.imwrite(str(pictures / "black.png"), np.zeros((50, 50, 3), np.uint8))
    config = write_config(
        tmp_path,
        bundle_path,
        {"top": {"kind": "folder", "path": str(pictures)}},
        broker={"host": "127.0.0.1", "port": mosquitto.port},
    )
    process = run_command(config)
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    mes.wait_for(lambda: [event["state"] for event in mes.events("/status")][-1:] == ["offline"])
    assert {check(message) for message in mes.messages} == {"status", "model", "result", "last", "counters"}
    assert {event["verdict"]["name"] for event in mes.events()} == {"OK", "NotOK", "NotDecidable"}


def test_a_simulation_publishes_what_an_inspection_does(tmp_path: Path, mosquitto: Mosquitto, mes: Subscriber) -> None:
    config = write_config(
        tmp_path,
        tmp_path,
        {"top": {"kind": "folder", "path": "none"}},
        broker={"host": "127.0.0.1", "port": mosquitto.port},
        metrics_every_s=0.3,
    )
    process = run_command("simulate", config, "--parts", "200", "--rate", "100", folder=tmp_path)
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    mes.wait_for(lambda: len(mes.events()) >= 200)
    assert {check(message) for message in mes.messages} >= {"status", "model", "result", "last", "metrics"}


def test_a_will_is_in_the_contract(tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber) -> None:
    pictures = write_pictures(tmp_path / "pictures", good=100)
    config = write_config(
        tmp_path,
        bundle_path,
        {"top": {"kind": "folder", "path": str(pictures), "max_fps": 10}},
        broker={"host": "127.0.0.1", "port": mosquitto.port},
    )
    process = run_command(config)
    mes.wait_for(lambda: bool(mes.events("/status") and mes.events("/model")))
    process.kill()
    process.communicate(timeout=WAIT_S)
    mes.wait_for(lambda: len(mes.events("/status")) == 2)
    assert mes.events("/status")[1]["since"] is None
    assert "status" in {check(message) for message in mes.messages}


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.schema.json")), ids=lambda path: path.name)
def test_every_schema_is_a_schema_and_has_its_message(path: Path) -> None:
    content = json.loads(path.read_text())
    Draft202012Validator.check_schema(content)
    name = path.name.removesuffix(".schema.json")
    assert content["$id"] == f"urn:p-wae:{name}:1"
    payload = asyncapi()["components"]["messages"][name]["payload"]
    assert payload["schema"] == {"$ref": f"./{path.name}"}


def test_the_contract_names_every_verdict_and_reason() -> None:
    verdict = schema("inspection")["properties"]["verdict"]["properties"]
    assert verdict["name"]["enum"] == [each.word for each in Verdict]
    assert set(verdict["reason"]["items"]["enum"]) == set(Reason)


def test_every_reference_in_the_asyncapi_file_leads_somewhere() -> None:
    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            return [node["$ref"]] if "$ref" in node else [ref for child in node.values() for ref in references(child)]
        return [ref for child in node for ref in references(child)] if isinstance(node, list) else []

    for reference in references(asyncapi()):
        if reference.startswith("./"):
            assert (SCHEMAS / reference).is_file()
        else:
            found = asyncapi()
            for part in reference.removeprefix("#/").split("/"):
                found = found[part]
