"""What every result carries: the machine, the day, the versions and the commit it was measured on."""

import datetime
import os
import platform
import subprocess
from importlib.metadata import version
from typing import Any


def describe(*packages: str) -> dict[str, Any]:
    """Machine, day, commit, and the versions of the named packages."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "versions": {name: version(name) for name in packages},
    }
