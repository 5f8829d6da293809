"""Many part numbers, trained by the real commands."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console

from core.errors import ArtifactError, ConfigError
from tests.pictures import write_picture
from tests.processes import below, interrupted, matching
from tests.runtime.waiting import WAIT_S, wait_until
from training.fitting.resume_point import resume_points
from training.many.many import find_parts, outcomes_table, run_here, run_on_ray, write_table
from training.many.part_run import Outcome, Part, run_part

Config = Callable[..., dict[str, Any]]


def write_part(folder: Path, name: str, make: Config, data: Path, **changed: Any) -> Path:
    config = make(data, folder / "runs" / name, name=name, **changed)
    (folder / "parts").mkdir(exist_ok=True)
    path = folder / "parts" / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@contextmanager
def commands_that_fail() -> Iterator[None]:
    """In the place of those that train and evaluate, which take seconds to begin."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        yield


def test_one_is_killed_and_trained_again_another_fails_and_both_are_told(
    tmp_path: Path, parts: Path, make_training_config: Config
) -> None:
    write_part(tmp_path, "disc", make_training_config, parts, epochs=3)
    write_part(tmp_path, "lost", make_training_config, parts)
    (tmp_path / "runs" / "lost").mkdir(parents=True)
    (tmp_path / "runs" / "lost" / "checkpoint").write_text("somebody's")
    (tmp_path / "all.yaml").write_text("parts: ['parts/*.yaml']\n")
    todo = find_parts(tmp_path / "all.yaml")
    assert [part.name for part in todo] == ["disc", "lost"]

    def kill() -> None:
        wait_until(lambda: bool(below(os.getpid(), "train_model.*disc.yaml")))
        os.kill(below(os.getpid(), "train_model.*disc.yaml")[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = {each.name: each for each in run_here(todo, cpus=1)}
    killer.join(WAIT_S)
    disc, lost = outcomes["disc"], outcomes["lost"]
    assert (disc.error, disc.tries) == ("", 2)
    assert disc.metrics is not None
    assert Path(disc.report).stat().st_size > 10_000
    assert lost.exit_code == 2
    assert "exists already and is kept" in lost.error
    # What is there is not done again.
    again = run_part(todo[0], threads=1)
    assert (again.tries, again.metrics) == (0, disc.metrics)
    write_table([lost, disc], tmp_path / "all.csv")
    rows = [*csv.DictReader((tmp_path / "all.csv").read_text().splitlines())]
    assert [(row["part"], row["tries"], row["good"]) for row in rows] == [("disc", "2", "12"), ("lost", "1", "-")]
    assert outcomes_table([lost, disc]).title == "2 parts, 1 failed"


def test_a_part_that_cannot_be_run_or_whose_figures_are_damaged_is_told_as_the_others_go_on(tmp_path: Path) -> None:
    config = tmp_path / "disc.yaml"
    config.touch()
    (tmp_path / "file").touch()
    outcome = run_part(Part("disc", config, ("data",), tmp_path / "file"), threads=1)
    assert (outcome.exit_code, outcome.error.startswith(f"{tmp_path / 'file'}: ")) == (2, True)
    (tmp_path / "run" / "evaluation").mkdir(parents=True)
    digest = hashlib.sha256(b"").hexdigest()
    (tmp_path / "run" / "train-many.json").write_text(json.dumps({"config_sha256": digest}))
    for name in ("checkpoint", "evaluation/report.html", "evaluation/metrics.json"):
        (tmp_path / "run" / name).write_text("{")
    outcome = run_part(Part("disc", config, ("data",), tmp_path / "run"), threads=1)
    assert (outcome.exit_code, "metrics.json: damaged" in outcome.error) == (3, True)


def test_what_an_earlier_try_said_is_not_told_of_one_that_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "disc.yaml").touch()
    log = tmp_path / "run" / "train.log"
    log.parent.mkdir()
    log.write_text("error: somebody else trains here.\n")
    with commands_that_fail():
        outcome = run_part(Part("disc", tmp_path / "disc.yaml", ("data",), tmp_path / "run"), threads=1)
    assert (outcome.exit_code, outcome.error) == (1, f"exit code 1; see {log}")


def finished(folder: Path) -> Part:
    """A part whose results are there, none of which are real; its data holds one picture."""
    part = Part("disc", folder / "disc.yaml", (str(folder / "data"),), folder / "run")
    write_picture(folder / "data" / "a.png", np.full((4, 4, 3), 90, np.uint8))
    part.config.write_text("epochs: 3")
    with commands_that_fail():
        assert run_part(part, threads=1).exit_code == 1, "the record is written, and no training begins"
    (part.output / "evaluation").mkdir()
    for name, content in (("checkpoint", "x"), ("evaluation/metrics.json", "{}"), ("evaluation/report.html", "x")):
        (part.output / name).write_text(content)
    assert run_part(part, threads=1).report
    return part


@pytest.mark.parametrize("changed", ["configuration", "pictures", "configuration and pictures"])
def test_results_of_another_configuration_or_of_other_pictures_are_not_taken_for_these(
    tmp_path: Path, changed: str
) -> None:
    part = finished(tmp_path)
    if "configuration" in changed:
        part.config.write_text("epochs: 4")
    if "pictures" in changed:
        write_picture(tmp_path / "data" / "b.png", np.full((4, 4, 3), 90, np.uint8))
    outcome = run_part(part, threads=1)
    assert (outcome.exit_code, outcome.report) == (ConfigError.exit_code, "")
    told = f"{part.config}: its {changed} changed since {part.output}/checkpoint was trained; remove {part.output} to"
    assert outcome.error.startswith(told)


def test_results_of_an_earlier_version_are_known_by_their_configuration_and_of_somebody_else_not_at_all(
    tmp_path: Path,
) -> None:
    part = finished(tmp_path)
    record = part.output / "train-many.json"
    record.write_text(json.dumps({"config_sha256": hashlib.sha256(part.config.read_bytes()).hexdigest()}))
    assert run_part(part, threads=1).report
    for damaged in ("[]", "", None):
        record.unlink() if damaged is None else record.write_text(damaged)
        with commands_that_fail():
            outcome = run_part(part, threads=1)
        assert (outcome.tries, outcome.report) == (1, ""), "`train-model` is asked, which refuses what is there"


def test_a_report_of_before_the_checkpoint_is_written_again(tmp_path: Path) -> None:
    part = finished(tmp_path)
    report = part.output / "evaluation" / "report.html"
    os.utime(report, ns=(0, 0))
    with commands_that_fail():
        outcome = run_part(part, threads=1)
    assert (outcome.tries, outcome.report) == (0, "")
    assert "evaluate.log" in outcome.error


@pytest.mark.long
def test_what_is_no_checkpoint_is_refused_by_the_evaluation_and_told_of_its_part(tmp_path: Path) -> None:
    part = finished(tmp_path)
    (part.output / "evaluation" / "report.html").unlink()
    outcome = run_part(part, threads=1)
    assert (outcome.exit_code, outcome.report, outcome.tries) == (ArtifactError.exit_code, "", 0)
    assert outcome.error.startswith(f"{part.output / 'checkpoint'}: damaged, or not a P-WAE checkpoint; train it again")


def test_patterns_may_be_whole_paths_and_match_the_list_itself(
    tmp_path: Path, parts: Path, make_training_config: Config
) -> None:
    one = write_part(tmp_path, "disc", make_training_config, parts)
    for patterns in (["*.yaml"], [str(one.parent / "d*.yaml")], [str(one)]):
        (one.parent / "all.yaml").write_text(yaml.safe_dump({"parts": patterns}))
        assert [part.config for part in find_parts(one.parent / "all.yaml")] == [one]
    (one.parent / "all.yaml").write_text("parts: ['']")
    with pytest.raises(ConfigError, match=r"there is no \(empty\)"):
        find_parts(one.parent / "all.yaml")


def test_a_training_ends_with_whoever_started_it(tmp_path: Path, parts: Path, make_training_config: Config) -> None:
    config = write_part(tmp_path, "disc", make_training_config, parts, epochs=100_000)
    output = tmp_path / "runs" / "disc"
    program = (
        "from pathlib import Path; from training.many.part_run import Part, run_part; "
        f"run_part(Part('disc', Path({str(config)!r}), {str(parts)!r}, Path({str(output)!r})), 1)"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            wait_until(lambda: bool(below(process.pid, "train_model")))
            (training,) = below(process.pid, "train_model")
            wait_until((output / "train.log").exists)
        finally:
            process.kill()
    wait_until(lambda: not Path(f"/proc/{training}").exists() or "Z" in Path(f"/proc/{training}/stat").read_text())


def test_what_cannot_be_told_apart_or_is_not_there_is_refused(
    tmp_path: Path, parts: Path, make_training_config: Config
) -> None:
    file = tmp_path / "all.yaml"
    file.write_text("parts: ['parts/*.yaml']\n")
    with pytest.raises(ConfigError, match=r"there is no parts/\*\.yaml"):
        find_parts(file)
    (tmp_path / "ring").symlink_to("ring")
    first = write_part(tmp_path, "disc", make_training_config, parts)
    ring = yaml.safe_load(first.read_text()) | {"output": str(tmp_path / "ring")}
    first.write_text(yaml.safe_dump(ring))
    (part,) = find_parts(file)
    assert run_part(part, threads=1).exit_code == ConfigError.exit_code
    (tmp_path / "parts" / "copy.yaml").write_text(first.read_text())
    with pytest.raises(ConfigError, match="the same `name` or `output`"):
        find_parts(file)


@pytest.mark.ray
def test_a_worker_of_ray_that_is_killed_trains_its_part_on_beside_another_on_one_gpu(
    tmp_path: Path, parts: Path, make_training_config: Config, ray_here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.fitting.fitting import LEAST_STEPS

    monkeypatch.setenv("RAY_ADDRESS", ray_here)
    for name, epochs in (("disc", LEAST_STEPS + 5), ("ring", 3)):
        write_part(tmp_path, name, make_training_config, parts, epochs=epochs)
    (tmp_path / "all.yaml").write_text("parts: ['parts/*.yaml']\n")
    output, killed, resumed = tmp_path / "runs" / "disc", list[int](), threading.Event()

    def kill() -> None:
        wait_until(lambda: bool(resume_points(output)))
        killed.extend(below(os.getpid(), "^ray::disc"))
        os.kill(killed[0], signal.SIGKILL)
        wait_until(lambda: bool(below(os.getpid(), "train_model.*disc.yaml.*--resume")), 0.05)
        resumed.set()

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = [*run_on_ray(find_parts(tmp_path / "all.yaml"), cpus=1, gpus=0.5)]
    killer.join(WAIT_S)
    assert len(killed) == 1
    assert resumed.is_set()
    assert sorted((each.name, each.error, each.tries) for each in outcomes) == [("disc", "", 1), ("ring", "", 1)]
    assert all(Path(each.report).exists() for each in outcomes)


@pytest.mark.ray
@pytest.mark.parametrize(("gpus", "side_by_side"), [(0.5, 2), (1.0, 1)])
def test_ray_shares_a_gpu_among_as_many_parts_as_were_asked_for(
    tmp_path: Path, ray_here: str, monkeypatch: pytest.MonkeyPatch, gpus: float, side_by_side: int
) -> None:
    def run(part: Part, _threads: int) -> Outcome:
        """Stands for a training: waits for the other where there is to be one, and counts how many run."""
        own = tmp_path / f"{part.name}.running"
        own.touch()
        if side_by_side == 2:
            wait_until(lambda: len([*tmp_path.glob("*.running")]) == 2)
        most = len([*tmp_path.glob("*.running")])
        if side_by_side == 1:
            own.unlink()
        return Outcome(part.name, metrics={"most": most, "gpu": os.environ["CUDA_VISIBLE_DEVICES"]})

    monkeypatch.setenv("RAY_ADDRESS", ray_here)
    monkeypatch.setattr("training.many.many.run_part", run)
    todo = [Part(name, tmp_path, (), tmp_path) for name in ("disc", "ring")]
    metrics = [each.metrics for each in run_on_ray(todo, cpus=1, gpus=gpus)]
    assert metrics == [{"most": side_by_side, "gpu": "0"}] * 2


def test_the_table_on_a_narrow_terminal_cuts_nothing_off() -> None:
    fault = "disc.yaml: `folds`: it is 0; 1 or more is needed; and so on, at some length"
    done = Outcome("m8-bolt", "", 0, 3, 1, {"good": 12, "defective": 8, "auroc": 0.991}, "/a/long/way/to/report.html")
    for outcomes in ([done], [done, Outcome("disc", fault, 2)]):
        console = Console(width=80, record=True, file=StringIO())
        console.print(outcomes_table(outcomes))
        told = console.export_text()
        assert "…" not in told
        assert ("error" in told) == (len(outcomes) == 2)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_it_alone_ends_all_trainings_at_once(
    tmp_path: Path, parts: Path, make_training_config: Config, by: signal.Signals
) -> None:
    write_part(tmp_path, "disc", make_training_config, parts, epochs=100_000)
    (tmp_path / "all.yaml").write_text("parts: ['parts/*.yaml']\n")
    log = tmp_path / "runs" / "disc" / "train.log"
    code, error = interrupted(
        "from training import train_many; train_many()", str(tmp_path / "all.yaml"), log.exists, by
    )
    assert (code, error) == (130, "to go on: give the same command; what is done is not done again\ninterrupted\n")
    wait_until(lambda: not matching(f"train_model.*{tmp_path}"))
