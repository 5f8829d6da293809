"""The check for a machine with a GPU, as far as one without lets it: each section tells, and fails alone."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.runtime.a_gpu import has_gpu

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = ("facts", "pages", "sticky", "engine")
MACHINE = ("torch", "numpy", "onnx", "onnxruntime")
"""What the other machine has."""
TESTS = ("pytest", "pytest-timeout", "hypothesis", "jsonschema")
"""What the tests that want a GPU import."""
PYCUDA = {"pycuda", "pytools", "siphash24", "platformdirs", "mako"}
"""Not installed here: built."""


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_without_a_gpu_every_section_says_why_and_the_next_is_run(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "gpu_check.py"), *SECTIONS]
    for name in ("bundle", "checkpoint", "pictures", "out"):
        command += [f"--{name}", str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=290, check=False)
    assert done.returncode == 1, done.stderr
    told = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [json.loads(line) for line in done.stdout.splitlines()] == told
    assert told[0]["gpu"] == "no NVIDIA driver on this machine (libcuda.so.1)"
    assert {"numpy", "onnxruntime", "torch", "pycuda"} <= {each.get("package") for each in told}
    ends = {each["section"]: each for each in told if "done" in each}
    assert set(ends) == set(SECTIONS)
    assert {section for section, end in ends.items() if end["done"]} == {"facts"}
    assert "no NVIDIA driver" in ends["engine"]["fails"]
    assert "no illegal access was tried" in ends["sticky"]["fails"]
    *lines, last = done.stderr.splitlines()[-len(SECTIONS) - 1 :]
    assert [line.split()[:2] for line in lines] == [["facts", "ran"], *([name, "FAILED"] for name in SECTIONS[1:])]
    assert all(ends[name]["fails"] in line for name, line in zip(SECTIONS[1:], lines[1:], strict=True))
    assert last == f"1 of {len(SECTIONS)} sections ran, 3 failed; all results: {tmp_path / 'out' / 'results.jsonl'}"


def test_a_section_that_is_not_there_is_named() -> None:
    command = [sys.executable, str(ROOT / "tools" / "gpu_check.py"), "slots"]
    for name in ("bundle", "checkpoint", "pictures", "out"):
        command += [f"--{name}", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such section: slots; there are facts, imports, pages" in done.stderr


def hang(*_: object) -> None:
    time.sleep(99)


def crash(*_: object) -> None:
    os._exit(7)


@pytest.mark.parametrize(
    ("runs", "limit_s", "problem"), [(hang, 1.0, "took longer than 1 s"), (crash, 60.0, "ended with 7")]
)
def test_a_section_that_hangs_or_crashes_is_ended_and_told(
    runs: Callable[..., None], limit_s: float, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = importlib.import_module("tools.gpu_check")
    monkeypatch.setattr(check, "_run", runs)
    monkeypatch.setitem(check.SECTIONS, "pages", (check.pages, limit_s))
    given = check.Given(tmp_path, tmp_path, tmp_path, tmp_path)
    assert check.run_one("pages", given) == problem
    told = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert told == [{"section": "pages", "done": False, "fails": problem}]


def test_a_cpus_onnx_runtime_is_told_with_what_brings_the_other(tmp_path: Path) -> None:
    check = importlib.import_module("tools.gpu_check")
    with pytest.raises(RuntimeError, match=r"pack the other: tools/gpu-wheels\.sh PARTS onnxruntime-gpu$"):
        check.onnxruntime(check.Given(tmp_path, tmp_path, tmp_path, tmp_path))


def test_tests_that_fail_fail_their_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = importlib.import_module("tools.gpu_check")
    failed = subprocess.CompletedProcess("pytest", 4, "", "ERROR: no such file\n")
    monkeypatch.setattr(check.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match=r"pytest ended with 4 \(ERROR: no such file\)"):
        check.tests(check.Given(tmp_path, tmp_path, tmp_path, tmp_path))


def test_what_cannot_be_imported_fails_its_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = importlib.import_module("tools.gpu_check")

    def absent(module: str) -> None:
        if module.startswith("pycuda"):
            raise ImportError("libcuda.so.1")

    monkeypatch.setattr(check.importlib, "import_module", absent)
    with pytest.raises(RuntimeError, match=r"^cannot be imported: pycuda.driver$"):
        check.imports(check.Given(tmp_path, tmp_path, tmp_path, tmp_path))


@pytest.mark.parametrize(
    ("script", "wanted"),
    [("gpu-check.sh", "gpu-check.sh PARTS BUNDLE"), ("gpu-wheels.sh", "PARTS"), ("pycuda-wheel.sh", "FOLDER")],
)
def test_a_script_that_is_given_nothing_says_what_it_wants(script: str, wanted: str) -> None:
    done = subprocess.run(["bash", ROOT / "tools" / script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert wanted in done.stderr
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", ROOT / "tools" / script], check=True)


def test_every_wheel_that_the_other_machine_lacks_is_named_once_and_no_more() -> None:
    named = [line for line in (ROOT / "tools" / "gpu-wheels.txt").read_text().splitlines() if line[:1] not in "#"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = needed([*project["dependencies"], *extras["train"], *extras["rtx"], *TESTS])
    assert sorted(map(canonicalize_name, named)) == sorted(wanted - needed(MACHINE) | PYCUDA)


def needed(packages: Sequence[str]) -> set[str]:
    """Name these packages and all that they need, as what is installed here tells."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(package) for package in packages]
    while waiting:
        requirement = waiting.pop()
        one = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if one in found:
            continue
        found.add(one)
        for other in map(Requirement, requires(requirement.name) or []):
            if other.marker is None or any(other.marker.evaluate({"extra": extra}) for extra in ("", *one[1])):
                waiting.append(other)
    return {name for name, _ in found}
