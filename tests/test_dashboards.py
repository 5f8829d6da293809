"""The dashboards in examples/: every metric, topic and key that they name is one that a station tells."""

import json
import re
import signal
import tomllib
from pathlib import Path
from typing import Any

from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import at, run_command, write_config
from tests.runtime.contract import asyncapi, channel_of, schema
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.web import ask, is_up

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
PREFIX = "pwae/+/+/+/+"


def test_every_metric_of_the_grafana_dashboard_is_exported_with_its_labels(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    port = free_port()
    camera = {"kind": "rtsp", "url": "rtsp://none.example.com/belt"}
    config = write_config(
        tmp_path, tmp_path / "no-bundle", {"belt": camera}, broker=at(mosquitto.port), view={"port": port}
    )
    process = run_command("simulate", config, "--rate", "20", folder=tmp_path)
    try:
        wait_until(lambda: is_up(f"http://127.0.0.1:{port}"))
        wait_until(lambda: b'pwae_parts_total{camera="belt"' in ask(f"http://127.0.0.1:{port}/metrics")[1])
        told = ask(f"http://127.0.0.1:{port}/metrics")[1].decode()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT_S)
    exported = {
        name: set(re.findall(r"(\w+)=", labels)) for name, labels in re.findall(r"^(\w+)\{?([^}\s]*)", told, re.M)
    }
    dashboard = json.loads((EXAMPLES / "grafana.json").read_text(encoding="utf-8"))
    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(targets) >= 10
    for target in targets:
        metrics = re.findall(r"pwae_\w+", target["expr"])
        assert metrics
        for metric in metrics:
            assert metric in exported, f"{metric} is not exported"
            labels = {*re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])}
            assert labels - {"instance"} <= exported[metric], target


def test_every_metric_that_a_page_names_is_one_of_ours() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "runtime").rglob("*.py"))
    ours = [re.sub(r"\{\w+\}", r"\\w+", name) for name in re.findall(r'"(pwae_[\w{}]+)"', sources)]
    for page in (ROOT / "docs").glob("*.md"):
        for metric in re.findall(r"pwae_[a-z_]+", page.read_text(encoding="utf-8")):
            name = metric.removesuffix("_total")
            assert any(re.fullmatch(each, name) for each in ours), f"{page.name}: {metric}"


def at_path(keys: str) -> dict[str, Any]:
    """The schema of a key of an event, by its path."""
    node = schema("inspection")
    for key in keys.split("."):
        node = node["properties"][key]
    return node


def test_what_telegraf_reads_is_in_an_event_and_has_its_type() -> None:
    (source,) = tomllib.loads((EXAMPLES / "telegraf.conf").read_text(encoding="utf-8"))["inputs"]["mqtt_consumer"]
    assert [channel_of(topic, PREFIX) for topic in source["topics"]] == ["result"]
    (events,) = source["json_v2"]
    at_path(events["timestamp_path"])
    kinds = {"int": {"integer"}, "float": {"number"}}
    for field in events["field"]:
        found = at_path(field["path"])
        listed = {"integer" for each in found.get("enum", []) if isinstance(each, int)}
        types = listed or ({found["type"]} if isinstance(found["type"], str) else set(found["type"])) - {"null"}
        assert types == kinds[field["type"]], field
    for tag in events["tag"]:
        assert at_path(tag["path"])
    parts, topic = source["topic_parsing"][0]["tags"].split("/"), source["topics"][0].split("/")
    assert len(parts) == len(topic)


def test_the_node_red_flow_hangs_together_and_reads_what_is_sent() -> None:
    nodes = {node["id"]: node for node in json.loads((EXAMPLES / "node-red.json").read_text(encoding="utf-8"))}
    (source,) = [node for node in nodes.values() if node["type"] == "mqtt in"]
    assert channel_of(source["topic"], PREFIX) == "result"
    assert source["broker"] in nodes
    seen, way = set(), [source["id"]]
    while way:
        seen.add(name := way.pop())
        way += [target for output in nodes[name].get("wires", []) for target in output]
    assert {nodes[name]["type"] for name in seen} == {"mqtt in", "function", "switch", "debug"}
    assert at_path("verdict.name")["enum"]
    assert "send-result" in asyncapi()["operations"]
