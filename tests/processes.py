"""The processes that a test starts: looked at, and interrupted."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.runtime.waiting import WAIT_S, wait_until

TRAINED_S = 130.0
"""Until a process that is started has trained a little: it imports torch first, on a new machine uncompiled."""


def below(process: int, pattern: str = "") -> list[int]:
    """Those that `process` started, and that these did, whose command line matches `pattern`."""
    found: list[int] = []
    parents = [process]
    while parents:
        family = ",".join(map(str, parents))
        parents = _pgrep("-P", family)
        found += _pgrep("-P", family, "-f", pattern) if pattern else parents
    return found


def matching(pattern: str) -> list[int]:
    """Those whose command line matches `pattern`, whoever started them."""
    return _pgrep("-f", pattern)


@contextmanager
def started(command: Sequence[str], cwd: Path | None = None) -> Iterator["subprocess.Popen[str]"]:
    """Start a process whose stderr is read. It is killed at the end: else a test that fails would wait for it."""
    with subprocess.Popen(command, cwd=cwd, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def interrupted(
    program: str, argument: str, is_ready: Callable[[], bool], by: signal.Signals = signal.SIGINT
) -> tuple[int, str]:
    """Run a Python `program`, interrupt it when it is ready or has ended: its exit code, and what it said on stderr."""
    # Where the tests run in the background of a script, SIGINT is ignored, and children inherit that.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", heard + program, argument]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: is_ready() or process.poll() is not None, 0.02, TRAINED_S)
            process.send_signal(by)
            _, error = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
    return process.returncode, error


def _pgrep(*arguments: str) -> list[int]:
    told = subprocess.run(["pgrep", *arguments], check=False, capture_output=True, text=True)
    return [int(line) for line in told.stdout.split()]
