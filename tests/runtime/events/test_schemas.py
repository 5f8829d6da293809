"""The contract with the MES, held against what a real broker was given."""

import json
import re
from dataclasses import fields
from inspect import signature
from pathlib import Path

import cv2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jsonschema import Draft202012Validator

from fleet.order import Order, Package, sealed
from fleet.report import Report
from runtime.events.home_assistant import HomeAssistantDevice
from runtime.events.topics import Topics
from runtime.parts.verdict import Reason, Verdict
from tests.runtime.broker import Mosquitto
from tests.runtime.command import run_command, write_config
from tests.runtime.contract import PREFIX, SCHEMAS, asyncapi, check, schema, validator
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.waiting import WAIT_S

ROOT = Path(__file__).resolve().parents[3]


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
        tmp_path / "no-bundle",
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
    assert check(mosquitto.retained(f"{PREFIX}/status")) == "status"


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.schema.json")), ids=lambda path: path.name)
def test_every_schema_is_a_schema_and_has_its_message(path: Path) -> None:
    content = json.loads(path.read_text())
    Draft202012Validator.check_schema(content)
    name = path.name.removesuffix(".schema.json")
    assert content["$id"] == f"urn:p-wae:{name}:1"
    payload = asyncapi()["components"]["messages"][name]["payload"]
    assert payload["schema"] == {"$ref": f"./{path.name}"}


def addresses() -> dict[str, str]:
    """Every topic that the code knows, as the document would write it, by its name in the code."""
    names, topics = [name for name in vars(Topics) if not name.startswith("_")], Topics("{prefix}")
    found = {}
    for name in names:
        kind = getattr(Topics, name)
        placeholders = [] if isinstance(kind, property) else [*signature(kind).parameters][1:]
        value = getattr(topics, name)
        found[name] = value(*(f"{{{each}}}" for each in placeholders)) if placeholders else value
    of_device = {each.name: each.name for each in fields(HomeAssistantDevice)}
    found["home_assistant"] = HomeAssistantDevice(**{**of_device, "topics": topics}).topic  # type: ignore[arg-type]
    return found


def test_every_topic_of_the_code_is_in_the_contract_and_the_other_way_round() -> None:
    channels = asyncapi()["channels"]
    in_code = {topic.replace("discovery_prefix", "{discovery_prefix}", 1) for topic in addresses().values()}
    in_code = {topic.replace("/client_id/", "/{client_id}/") for topic in in_code}
    assert {channel["address"] for channel in channels.values()} == in_code
    operations = asyncapi()["operations"].values()
    assert {each["channel"]["$ref"].rsplit("/", 1)[1] for each in operations} == set(channels)


def test_no_module_writes_a_topic_but_the_one_that_lists_them() -> None:
    own = re.compile(r"""f["'][^"']*\}/(status|model|metrics|camera|trigger|cmd|cmd_reply|bundle|doctor)\b""")
    writers = {
        path.relative_to(ROOT).as_posix()
        for room in ("runtime", "gateway", "fleet", "archive")
        for path in (ROOT / room).rglob("*.py")
        if own.search(path.read_text(encoding="utf-8"))
    }
    assert writers == {"runtime/events/topics.py"}


def test_a_fleet_s_orders_and_reports_are_in_the_contract() -> None:
    package = Package(sha256="ab" * 32, url="https://bundles.example.com/cell.zip")
    for new, old in ((package, None), (None, package)):
        order = Order(station=PREFIX, serial=1, roll_out="r", package=new, previous=old)
        validator("bundle_desired").validate(json.loads(sealed(order, Ed25519PrivateKey.generate())))
    report = Report(state="failed", serial=0, sha256=None, model="cell", model_sha256="cd" * 32, error="no disk")
    validator("bundle_reported").validate(json.loads(report.payload()))


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
