"""The command line."""

import subprocess
import sys

SCRIPT = "from runtime.cli import run_inspection; run_inspection()"


def help_text() -> str:
    process = subprocess.run([sys.executable, "-c", SCRIPT, "--help"], capture_output=True, text=True, check=True)
    return process.stdout


def test_help_says_what_a_stranger_needs() -> None:
    text = help_text()
    for words in (
        "bundle:",
        "cameras:",
        "broker:",
        "Exit codes: 0 done",
        "8 broker unreachable",
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


def test_a_missing_config_is_one_line() -> None:
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, "no-such.yaml"], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert process.stderr == "error: no-such.yaml: cannot be read (No such file or directory); check the path.\n"
