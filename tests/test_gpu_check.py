"""The check for a machine with a GPU, as far as one without lets it: each section tells, and fails alone."""

import importlib
import json
import os
import runpy
import shutil
import struct
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import requires
from pathlib import Path
from typing import Any, TextIO

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.runtime.a_gpu import has_gpu

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = ("facts", "pages", "sticky", "engine", "decoding")
MACHINE = ("torch", "numpy", "onnx", "onnxruntime")
"""What the other machine has."""
TESTS = ("pytest", "pytest-timeout", "hypothesis", "jsonschema")
"""What the tests that want a GPU import."""
PYCUDA = {"pycuda", "pytools", "siphash24", "platformdirs", "mako"}
"""Not installed here: built."""


@pytest.mark.long
@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_without_a_gpu_every_section_says_why_and_the_next_is_run(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "gpu_check.py"), *SECTIONS]
    for name in ("bundle", "training", "pictures", "out"):
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
    assert "not decoded by cuda: it cannot be opened" in ends["decoding"]["fails"]
    *lines, last = done.stderr.splitlines()[-len(SECTIONS) - 1 :]
    assert [line.split()[:2] for line in lines] == [["facts", "ran"], *([name, "FAILED"] for name in SECTIONS[1:])]
    assert all(ends[name]["fails"] in line for name, line in zip(SECTIONS[1:], lines[1:], strict=True))
    assert last == f"1 of {len(SECTIONS)} sections ran, 4 failed; all results: {tmp_path / 'out' / 'results.jsonl'}"


def test_a_section_that_is_not_there_is_named() -> None:
    command = [sys.executable, str(ROOT / "tools" / "gpu_check.py"), "slots"]
    for name in ("bundle", "training", "pictures", "out"):
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


def test_decoders_are_compared_by_pictures_speed_and_what_they_say_of_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    check = importlib.import_module("tools.decoding_check")
    monkeypatch.setattr(check, "obstacle", lambda decoding: "")  # software decodes in the GPU's place
    monkeypatch.setattr(check, "FRAMES", 30)
    told: list[dict[str, Any]] = []
    check.compare_decoders(lambda **values: told.append(values), size=(192, 256), cameras=[2])
    compared = [each for each in told if "compared" in each]
    assert [(each["frames"], each["largest_difference"]) for each in compared] == [([30, 30], 0)] * len(check.CODECS)
    assert all("decoded by software" in line for each in compared for line in each["log"])
    assert [(each["by"], each["cameras"]) for each in told if "core_ms" in each] == [("software", 2), ("cuda", 2)] * 2
    damaged = [each["unreadable"] for each in told if "damage" in each]
    assert len(damaged) == 2 * len(check.CODECS)
    assert all(each["software"] == each["cuda"] and {*each["cuda"]} == {".", "?"} for each in damaged)


def test_tests_that_fail_fail_their_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = importlib.import_module("tools.gpu_check")

    def fail(*_: object, stdout: TextIO, **__: object) -> subprocess.CompletedProcess[str]:
        stdout.write("ERROR: no such file\n")
        return subprocess.CompletedProcess("pytest", 4)

    monkeypatch.setattr(check.subprocess, "run", fail)
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


def container(*capabilities: int) -> bytes:
    """As nvcc packs kernels: a head, and an entry for each capability, of 8 bytes."""
    entries = b"".join(
        struct.pack("<HHIQ", 2, 257, 64, 8) + bytes(12) + struct.pack("<I", sm) + bytes(32) + b"kernels!"
        for sm in capabilities
    )
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entries)) + entries


def test_of_a_cuda_library_one_capabilitys_kernels_are_left_where_they_were(tmp_path: Path) -> None:
    name, packed = "onnxruntime/capi/libonnxruntime_providers_cuda.so", [container(75, 90, 120), container(90)]
    library = b"code" + b"between".join(packed) + b"data"
    wheel = tmp_path / "onnxruntime_gpu.whl"
    with zipfile.ZipFile(wheel, "w") as whole:
        for each in (name, "onnxruntime/capi/libonnxruntime.so.1.31.1", "onnxruntime/__init__.py"):
            whole.writestr(each, library)
    for capability, said in (("89", "it has no kernels for sm89; nothing was changed"), ("90", "")):
        command = [sys.executable, str(ROOT / "tools" / "slim_wheel.py"), str(wheel), capability]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == bool(said)
        assert said in done.stderr
    slim = zipfile.ZipFile(wheel)
    assert slim.namelist() == [name, "onnxruntime/__init__.py"]
    left = slim.read(name)
    assert [left.find(b"kernels!"), left.count(b"kernels!")] == [library.find(b"kernels!", 150), 1]
    assert left.replace(b"kernels!", bytes(8)) == library.replace(b"kernels!", bytes(8))


@pytest.mark.parametrize("rest", ["07001000", "01000000", "010010002000000000000000", "01001000ffffff7f00000000", ""])
def test_a_mark_that_stands_there_by_chance_is_no_container(rest: str) -> None:
    by_chance = bytes.fromhex("50ed55ba" + rest)
    library = bytearray(container(75, 90) + by_chance + bytes(32) + container(75, 90) + by_chance)
    slim_wheel = runpy.run_path(str(ROOT / "tools" / "slim_wheel.py"))
    whole = bytes(library)
    assert slim_wheel["leave"](library, 90) == (16, 16)
    assert bytes(library).count(b"kernels!") == 2
    assert bytes(library).replace(b"kernels!", bytes(8)) == whole.replace(b"kernels!", bytes(8))


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
