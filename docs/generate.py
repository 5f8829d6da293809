"""Writes docs/configuration.md and the JSON Schemas of all configurations from the settings and their docstrings.

`make docs` runs it; a test fails where what it would write is not what is there.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fleet.settings import AgentSettings, FleetSettings
from gateway.settings import GatewaySettings
from runtime.settings import InspectionSettings
from training.many.many import ManySettings
from training.settings import TrainingSettings

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATIONS: dict[str, type[BaseModel]] = {
    "inspection": InspectionSettings,
    "training": TrainingSettings,
    "parts": ManySettings,
    "fleet": FleetSettings,
    "agent": AgentSettings,
    "gateway": GatewaySettings,
}
COMMANDS = {
    "inspection": "run-inspection",
    "training": "train-model",
    "parts": "train-many",
    "fleet": "fleet",
    "agent": "fleet agent",
    "gateway": "opcua-gateway",
}
HEAD = """# Configuration

Every key of every configuration, from the settings in the code (`make docs`). All are YAML; an unknown key is refused
with the nearest valid one. Editors complete and check a file whose first line is
`# yaml-language-server: $schema=inspection.schema.json` (or `training.schema.json`), with the path to the schema, which
lies in [configs](../configs).
"""
LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "{} characters or more",
    "maxLength": "up to {} characters",
    "minItems": "{} or more",
    "pattern": "`{}`",
}
OWN, OWN_SECTIONS = "genicam", frozenset({"GenicamTriggerSettings"})
"""The kind of camera that has sections of its own, and which."""
Node = dict[str, Any]


def written() -> dict[Path, str]:
    """Give every file with the text that it should have."""
    schemas = {name: settings.model_json_schema() for name, settings in CONFIGURATIONS.items()}
    files = {
        ROOT / "configs" / f"{name}.schema.json": json.dumps(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2, ensure_ascii=False
        )
        + "\n"
        for name, schema in schemas.items()
    }
    lines = [HEAD]
    for name, schema in schemas.items():
        lines += [f"## `{COMMANDS[name]}`\n", *_section(schema, schema.get("$defs", {}))]
        for title, node in _sections(schema, schema.get("$defs", {}), ""):
            lines += [f"### {title}\n", *_section(node, schema.get("$defs", {}))]
    files[ROOT / "docs" / "configuration.md"] = "\n".join(lines).rstrip() + "\n"
    return files


def _sections(node: Node, definitions: Node, path: str, of_kind: str = "") -> Iterator[tuple[str, Node]]:
    """Walk the sections below `node` in the order of their keys: the heading of each, and its schema."""
    for key, value in node["properties"].items():
        for part, found in _objects(value, definitions):
            here = f"{path}{key}{part}"
            kind = found["properties"].get("kind", {}).get("const")
            if of_kind == OWN and found["title"] not in OWN_SECTIONS:
                continue
            yield f"`{here}`" + (f" of kind `{kind or of_kind}`" if kind or of_kind == OWN else ""), found
            if kind in (None, "rtsp", OWN):  # what all live cameras have is told once
                yield from _sections(found, definitions, f"{here}.", kind or of_kind)


def _objects(node: Node, definitions: Node) -> Iterator[tuple[str, Node]]:
    """Give the sections that a value may be, each with what stands after its key."""
    if "$ref" in node:
        yield "", definitions[node["$ref"].rsplit("/", 1)[1]]
    for choice in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _objects(choice, definitions)
    for value in node.get("patternProperties", {}).values():
        for part, found in _objects(value, definitions):
            yield f".<name>{part}", found


def _section(node: Node, definitions: Node) -> list[str]:
    """Give a section's docstring and its table of keys."""
    rows = ["| key | value | default | what |", "|---|---|---|---|"]
    for key, value in node["properties"].items():
        if "default" in value and not next(_objects(value, definitions), None):
            default = f"`{json.dumps(value['default'], ensure_ascii=False)}`"
        elif "default" in value:
            default = "none" if value["default"] is None else "its own defaults"
        else:
            default = "**required**" if key in node.get("required", ()) else ""
        told = " ".join(value.get("description", "").split()).replace("|", "\\|")
        rows.append(f"| `{key}` | {_value(value)} | {default} | {told} |")
    return [node["description"], "", *rows, ""] if "description" in node else [*rows, ""]


def _value(node: Node) -> str:
    """Say in words what a value may be."""
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "$ref" in node or any("$ref" in choice for choice in node.get("oneOf", ())):
        return "section, see below"
    for inner in node.get("patternProperties", {}).values():
        return f"map of names to {_value(inner)}"
    if choices := (*node.get("anyOf", ()), *node.get("oneOf", ())):
        return " or ".join(_value(choice) for choice in choices if choice.get("type") != "null")
    kind = "path" if node.get("format") == "path" else node.get("type", "any")
    if "prefixItems" in node:
        kind = "[" + ", ".join(_value(item) for item in node["prefixItems"]) + "]"
    elif kind == "array":
        kind = f"list of {_value(node['items'])}"
    limits = [text.format(node[key]) for key, text in LIMITS.items() if key in node and "prefixItems" not in node]
    return f"{kind} {', '.join(limits)}".replace("|", "\\|").strip()


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
