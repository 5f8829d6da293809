"""The command line."""

import subprocess
import sys
from collections.abc import Callable
from enum import StrEnum

import pytest

from runtime.history.annotations import Annotations
from runtime.station.simulating.scenario import Scenario

SCRIPT = "from runtime.cli import run_inspection; run_inspection()"


def help_text(*command: str) -> str:
    arguments = [sys.executable, "-c", SCRIPT, *command, "--help"]
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout


def test_help_says_what_a_stranger_needs() -> None:
    text = help_text()
    for words in (
        "bundle:",
        "cameras:",
        "broker:",
        "Exit codes:",
        "An MQTT broker that is unreachable",
        "--summary-json",
        "simulate",
    ):
        assert words in text


def test_help_needs_none_of_the_heavy_packages() -> None:
    check = "import sys, runtime.cli; print([m for m in ('cv2', 'onnxruntime', 'numpy', 'torch') if m in sys.modules])"
    process = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_the_runtime_never_loads_torch() -> None:
    check = "import sys, runtime.station.inspection; print('torch' in sys.modules, 'onnx' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "False False"


def test_a_missing_config_is_one_line(finish_here: Callable[..., tuple[int, str, str]]) -> None:
    told = "error: no-such.yaml: cannot be read (No such file or directory); check the path.\n"
    assert finish_here("no-such.yaml") == (2, "", told)


@pytest.mark.parametrize(("command", "names"), [("simulate", Scenario), ("evidence export", Annotations)])
def test_help_tells_what_may_be_chosen(command: str, names: type[StrEnum]) -> None:
    assert f"<{'|'.join(names)}>" in help_text(*command.split())
