"""The short form of benchmarks/abuse.py: few inputs of each kind that is quick, against one station that runs on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.machine
def test_what_is_tried_ends_nothing_is_told_and_never_passes() -> None:
    command = [sys.executable, "benchmarks/abuse.py", "--short", "--inputs", "3", "--seed", "7"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n| A: ") + done.stdout.count("\n| B: ") > 10
