"""Looking at the processes that a test started."""

import subprocess


def below(process: int, pattern: str = "") -> list[int]:
    """Those that `process` started, and that these did, whose command line matches `pattern`."""
    found: list[int] = []
    parents = [process]
    while parents:
        family = ",".join(map(str, parents))
        parents = _pgrep("-P", family)
        found += _pgrep("-P", family, "-f", pattern) if pattern else parents
    return found


def _pgrep(*arguments: str) -> list[int]:
    told = subprocess.run(["pgrep", *arguments], check=False, capture_output=True, text=True)
    return [int(line) for line in told.stdout.split()]
