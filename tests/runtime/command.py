"""`run-inspection` as a process of its own, and its configuration."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml


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
    return subprocess.Popen(
        [sys.executable, "-c", "from runtime.cli import run_inspection; run_inspection()", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder or Path(arguments[0]).parent,
    )
