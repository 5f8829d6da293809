"""What was given where a checkpoint or a bundle is asked for, and the command that makes the one of the other."""

import zipfile
from os.path import isfile
from pathlib import Path
from shlex import quote

MANIFEST, CHECKPOINT = "bundle.json", "checkpoint"
"""How files are called that `export-engine` and `train-model` write."""


def no_checkpoint(path: Path) -> str:
    """Say what lies at `path` that is no checkpoint, as the end of a sentence; empty where nobody knows."""
    if isfile(path / MANIFEST):
        return "is a bundle; give the file `checkpoint` that `train-model` wrote"
    if isfile(path / CHECKPOINT):
        return f"is the folder of a training; give {path / CHECKPOINT}"
    return _unpack_first(path) if MANIFEST in _names(path) else ""


def no_bundle(path: Path) -> str:
    """Say what lies at `path` that is no bundle's folder, as the end of a sentence; empty where nobody knows."""
    if isfile(path / CHECKPOINT):
        command = f"export-engine {quote(str(path / CHECKPOINT))} --output FOLDER"
        return f"is the folder of a training; make a bundle first: {command}"
    if MANIFEST in (within := _names(path)):
        return _unpack_first(path)
    if any(name.endswith("/data.pkl") for name in within):
        return f"is a checkpoint; make a bundle of it first: export-engine {quote(str(path))} --output FOLDER"
    return ""


def _unpack_first(path: Path) -> str:
    return f"is a packed bundle; unpack it first: export-engine unpack {quote(str(path))} --output FOLDER"


def _names(path: Path) -> list[str]:
    """Names in a ZIP, which packed bundles and checkpoints are; none of what is no ZIP."""
    if not isfile(path):  # a pipe would be waited for
        return []
    try:
        with zipfile.ZipFile(path) as packed:
            return packed.namelist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return []
