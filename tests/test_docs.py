"""What is generated is what stands there, and every configuration that we ship fits its schema."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml

from core.errors import exit_codes

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_configuration_s_page_and_schemas_are_not_stale(generator: ModuleType) -> None:
    stale = [path.name for path, text in generator.written().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `make docs`"


def test_every_key_of_every_configuration_is_told(generator: ModuleType) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    for settings in generator.CONFIGURATIONS.values():
        schema = settings.model_json_schema()
        for section in (schema, *schema.get("$defs", {}).values()):
            assert set(section["properties"]) <= told, section["title"]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_a_configuration_names_its_schema_and_fits_it(config: Path) -> None:
    text = config.read_text(encoding="utf-8")
    head = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert head is not None
    schema = json.loads((config.parent / head[1]).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))


def test_the_operations_page_tells_every_exit_code() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split("## Exit codes")[1]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == [*exit_codes()]


def test_a_schema_refuses_what_the_command_would_refuse() -> None:
    schema = json.loads((ROOT / "configs" / "inspection.schema.json").read_text(encoding="utf-8"))
    config = yaml.safe_load((ROOT / "configs" / "inspection.yaml").read_text(encoding="utf-8"))
    changes: list[dict[str, Any]] = [{"stations": "press-3"}, {"metrics_every_s": 0}, {"cameras": {}}]
    for wrong in changes:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema).validate({**config, **wrong})


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=lambda path: path.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`([\w/]*\btest_\w+\.py)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not any((ROOT / at / name).is_file() for at in ("", "tests/runtime"))] == []
