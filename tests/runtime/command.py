"""`run-inspection` as a process of its own, and its configuration."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from tests.runtime.waiting import WAIT_S

STARTED: list["subprocess.Popen[str]"] = []


def write_config(path: Path, bundle: Path, cameras: dict[str, Any], **sections: Any) -> Path:
    """Write a `run-inspection` configuration into the folder `path`."""
    content = {
        "bundle": str(bundle),
        "station": "test-1",
        "cameras": cameras,
        "outbox": {"path": str(path / "outbox.sqlite")},
        **sections,
    }
    config = path / "inspection.yaml"
    config.write_text(yaml.safe_dump(content))
    return config


def run_command(*arguments: str | Path, folder: Path | None = None) -> subprocess.Popen[str]:
    """Start `run-inspection` as its own process; without `folder`, in the one of the configuration named first."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from runtime.cli import run_inspection; run_inspection()", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder or Path(arguments[0]).parent,
    )
    STARTED.append(process)
    return process


def end_all() -> None:
    """End what a test started and left, and close its pipes; one that has ended and been read is left as it is."""
    while STARTED:
        with STARTED.pop() as process:
            process.kill()


def folder(path: Path, **changed: Any) -> dict[str, Any]:
    """A camera that is a folder."""
    return {"kind": "folder", "path": str(path), **changed}


def at(port: int, **changed: Any) -> dict[str, Any]:
    """A broker on this machine."""
    return {"host": "127.0.0.1", "port": port, **changed}


def finish(config: Path, *options: str) -> tuple[int, str, str]:
    """Run it to its end; returns exit code, stdout and stderr."""
    process = run_command(config, *options)
    out, err = process.communicate(timeout=WAIT_S)
    return process.returncode, out, err


def stored(path: Path) -> int:
    """How many events wait in an outbox that another process may be writing."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as database:
        try:
            (count,) = database.execute("SELECT COUNT(*) FROM events").fetchone()
        except sqlite3.OperationalError:
            return 0
    return int(count)


def seqs(events: list[dict[str, Any]]) -> list[int]:
    """The numbers of events, in order."""
    return sorted(event["seq"] for event in events)
