"""The run of one part number among many: trained and evaluated by the commands, each a process of its own.

It runs wherever Ray puts it, so nothing here needs torch.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.datasets.dataset import folders
from core.errors import ConfigError, DataError, PwaeError
from core.files import write_whole
from core.mistaken import CHECKPOINT
from core.pictures.picture import find_pictures
from training.fitting.resume_point import resume_points

TRIES = 3
"""A training that a signal ended is resumed so often: somebody's, or a lack of memory that may pass."""
RECORD = "train-many.json"
CHANGEABLE = {"config_sha256": "configuration", "pictures_sha256": "pictures"}
"""What the record has digests of, in words."""
EVALUATION = "evaluation"


@dataclass(frozen=True)
class Part:
    """One part number."""

    name: str
    config: Path
    data: tuple[str, ...]
    output: Path


@dataclass(frozen=True)
class Outcome:
    """The result of a part's training."""

    name: str
    error: str = ""
    """What the command said; empty where all went well."""
    exit_code: int = 0
    tries: int = 0
    """Trainings that were started; 0: the checkpoint was there."""
    minutes: float = 0.0
    metrics: dict[str, Any] | None = None
    """Of `evaluate-model`; None where it came to none."""
    report: str = ""


def run_part(part: Part, threads: int) -> Outcome:
    """Train a part, or go on with it, and evaluate it; what is there is not done again, nor taken for something else.

    One whose configuration or pictures changed since is told, and left as it is.
    """
    started_s = time.monotonic()
    try:
        return _run_part(part, threads, started_s)
    except OSError as error:  # of one part; the others go on
        where = error.filename or part.output
        told = f"{where}: {error.strerror}; check the path, its permissions and the free space"
        code = ConfigError.exit_code
    except PwaeError as error:
        told, code = str(error), error.exit_code
    return Outcome(part.name, told, code, minutes=(time.monotonic() - started_s) / 60)


def _made_of(part: Part) -> dict[str, str]:
    """Give digests of what a part's results are made of: its configuration, and its pictures by name and size."""
    pictures = [picture for folder in folders(part.data) for picture in find_pictures(folder)]
    sizes = [(str(picture), picture.stat().st_size if picture.is_file() else 0) for picture in pictures]
    contents = {"config_sha256": part.config.read_bytes(), "pictures_sha256": json.dumps(sizes).encode()}
    return {key: hashlib.sha256(content).hexdigest() for key, content in contents.items()}


def _is_ours(part: Part) -> bool:
    """Whether the checkpoint that is there, if any, came of `train-many`.

    Raises ConfigError where it is made of something else than what is there now.
    """
    record, checkpoint, made_of = part.output / RECORD, part.output / CHECKPOINT, _made_of(part)
    part.output.mkdir(parents=True, exist_ok=True)
    if not checkpoint.exists():
        write_whole(record, json.dumps(made_of).encode())
        return True
    try:
        known = json.loads(record.read_bytes())
    except (OSError, ValueError):
        return False
    if not isinstance(known, dict):
        return False
    # An earlier version kept no digest of the pictures.
    if changed := [key for key in made_of if known.get(key, made_of[key]) != made_of[key]]:
        words = " and ".join(CHANGEABLE[key] for key in changed)
        raise ConfigError(
            f"{part.config}: its {words} changed since {checkpoint} was trained; remove {part.output} to train it "
            "again, or put back what changed."
        )
    return True


def _run_part(part: Part, threads: int, started_s: float) -> Outcome:
    checkpoint, report = part.output / CHECKPOINT, part.output / EVALUATION / "report.html"
    is_ours = _is_ours(part)
    tries, code, error = 0, 0, ""
    # A signal may come when the checkpoint is written already; what a command says itself, it would say again.
    while tries < TRIES and code <= 0 and not (is_ours and checkpoint.exists()):
        tries += 1
        resume = ["--resume"] if is_ours and resume_points(part.output) else []
        arguments, log = [str(part.config), *resume], part.output / "train.log"
        code, error = _run("training", "train_model", arguments, log, threads)
    attempts = 0
    while attempts < TRIES and code <= 0 and is_ours and checkpoint.exists() and not _is_of(report, checkpoint):
        attempts += 1
        arguments, log = (
            ["report", str(checkpoint), *part.data, "--output", str(report.parent)],
            part.output / "evaluate.log",
        )
        code, error = _run("assessment", "evaluate_model", arguments, log, threads)
    minutes = (time.monotonic() - started_s) / 60
    if code or not report.exists():
        return Outcome(part.name, error, max(code, 1), tries, minutes)
    try:
        metrics = json.loads((report.parent / "metrics.json").read_bytes())
    except ValueError:
        told = f"{report.parent / 'metrics.json'}: damaged; remove {report.parent}, and it is evaluated again"
        return Outcome(part.name, told, DataError.exit_code, tries, minutes)
    return Outcome(part.name, "", 0, tries, minutes, metrics, str(report))


def _is_of(report: Path, checkpoint: Path) -> bool:
    """Whether the report was written after the checkpoint that is there now."""
    return report.exists() and report.stat().st_mtime_ns >= checkpoint.stat().st_mtime_ns


def _run(room: str, entry: str, arguments: Sequence[str], log: Path, threads: int) -> tuple[int, str]:
    """Run a command, which ends with this process whatever ends that; give its exit code and what it said at last."""
    theirs, ours = os.pipe()
    program = (
        f"import sys; from training.lifeline import end_with; end_with({theirs}); "
        f"from {room} import {entry}; sys.argv[0] = {entry!r}; {entry}()"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    try:
        with log.open("ab") as out:
            begin = out.tell()
            command = [sys.executable, "-c", program, *arguments]
            process = subprocess.Popen(  # noqa: S603, our own command
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, pass_fds=[theirs]
            )
            os.close(theirs)
            theirs = -1
            code = process.wait()
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)
    if code < 0:
        return code, f"ended by signal {-code}, {TRIES} times; see {log}"
    lines = log.read_bytes()[begin:].decode(errors="replace").split("\n")
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return code, said[-1] if said else f"exit code {code}; see {log}"
