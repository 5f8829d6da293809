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

from core.errors import ConfigError, DataError
from core.files import write_whole
from core.mistaken import CHECKPOINT
from training.fitting.resume_point import resume_points

TRIES = 3
"""A training that a signal ended is resumed so often: somebody's, or a lack of memory that may pass."""
RECORD = "train-many.json"
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
    """Train a part, or go on with it, and evaluate it; what is there for this configuration is not done again."""
    started_s = time.monotonic()
    try:
        return _run_part(part, threads, started_s)
    except OSError as error:  # of one part; the others go on
        told = f"{error.filename or part.output}: {error.strerror}; check the path, its permissions and the free space"
        return Outcome(part.name, told, ConfigError.exit_code, minutes=(time.monotonic() - started_s) / 60)


def _run_part(part: Part, threads: int, started_s: float) -> Outcome:
    record, checkpoint = part.output / RECORD, part.output / CHECKPOINT
    digest = hashlib.sha256(part.config.read_bytes()).hexdigest()
    ours = json.dumps({"config_sha256": digest}).encode()
    is_ours = record.is_file() and record.read_bytes() == ours
    part.output.mkdir(parents=True, exist_ok=True)
    if not checkpoint.exists():
        write_whole(record, ours)
        is_ours = True
    tries, code, error = 0, 0, ""
    # A signal may come when the checkpoint is written already; what a command says itself, it would say again.
    while tries < TRIES and code <= 0 and not (is_ours and checkpoint.exists()):
        tries += 1
        resume = ["--resume"] if is_ours and resume_points(part.output) else []
        arguments, log = [str(part.config), *resume], part.output / "train.log"
        code, error = _run("training", "train_model", arguments, log, threads)
    report, attempts = part.output / EVALUATION / "report.html", 0
    while attempts < TRIES and code <= 0 and is_ours and checkpoint.exists() and not report.exists():
        attempts += 1
        arguments, log = (
            ["report", str(checkpoint), *part.data, "--output", str(report.parent)],
            part.output / "evaluate.log",
        )
        code, error = _run("assessment", "evaluate_model", arguments, log, threads)
    minutes = (time.monotonic() - started_s) / 60
    if not report.exists():
        return Outcome(part.name, error, max(code, 1), tries, minutes)
    try:
        metrics = json.loads((report.parent / "metrics.json").read_bytes())
    except ValueError:
        told = f"{report.parent / 'metrics.json'}: damaged; remove {report.parent}, and it is evaluated again"
        return Outcome(part.name, told, DataError.exit_code, tries, minutes)
    return Outcome(part.name, "", 0, tries, minutes, metrics, str(report))


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
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return code, said[-1] if said else f"exit code {code}; see {log}"
