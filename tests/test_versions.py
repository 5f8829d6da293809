"""The set of versions that was tested lies within what pyproject.toml allows, and is whole."""

import itertools
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()}


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pins.items()}


def test_every_requirement_has_a_tested_version_that_it_allows() -> None:
    versions = pinned()
    wanted = [*map(Requirement, PROJECT["dependencies"]), *itertools.chain.from_iterable(EXTRAS.values())]
    for requirement in wanted:
        if requirement.name != PROJECT["name"]:
            version = versions.get(canonicalize_name(requirement.name), "")
            assert requirement.specifier.contains(version), requirement


def test_no_installation_brings_two_builds_of_onnx_runtime() -> None:
    def brought(extra: str) -> set[str]:
        names = set()
        for requirement in EXTRAS[extra]:
            if requirement.name == PROJECT["name"]:
                names |= {name for inner in requirement.extras for name in brought(inner)}
            elif requirement.name.startswith("onnxruntime"):
                names.add(requirement.name)
        return names

    builds = {extra: brought(extra) for extra in EXTRAS}
    assert all(len(names) <= 1 for names in builds.values())
    assert {extra for extra, names in builds.items() if names} == {"cpu", "cuda", "demo", "dev"}
    assert not any("onnxruntime" in line for line in PROJECT["dependencies"])


def test_training_brings_what_its_rooms_import_and_nothing_else() -> None:
    files = [path for room in ("training", "assessment", "export") for path in (ROOT / room).rglob("*.py")]
    imported = {name for path in files for name in re.findall(r"(?m)^ *(?:import|from) (\w+)", path.read_text())}
    brought = {requirement.name.replace("-", "_") for requirement in EXTRAS["train"]}
    assert brought - imported == {"onnxscript"}, "by which torch exports"


def test_the_extras_that_a_remedy_names_are_there() -> None:
    sources = [
        path
        for room in ("core", "runtime", "training", "assessment", "export", "archive", "gateway")
        for path in (ROOT / room).rglob("*.py")
    ]
    named = {
        name
        for path in sources
        for names in re.findall(r"'\.\[([a-z,]+)\]'", path.read_text())
        for name in names.split(",")
    }
    assert named
    assert named <= set(EXTRAS)
