"""What an inspection tells at its end."""

import subprocess
import sys

import pytest

PROGRAM = """
from core import cli
from runtime.station.console import tell
from runtime.station.inspection import Summary
cli.run(lambda: tell(Summary({"OK": 7}, 7, 0, 2.5, 0, 7, 0, 0, None)))
"""


@pytest.mark.parametrize(
    ("standard_output", "why"),
    [
        ("/dev/full", " (No space left on device); free its disk, or send it elsewhere"),
        (">(true)", ": nobody reads it"),
    ],
)
def test_figures_that_nobody_takes_are_no_wrong_configuration(standard_output: str, why: str) -> None:
    """systemd's unit starts a station again but for code 2."""
    command = f'exec > {standard_output}; wait $!; "$0" -c "$1"'
    done = subprocess.run(["bash", "-c", command, sys.executable, PROGRAM], stderr=-1, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: standard output cannot be written{why}. All was judged and reported.\n"
