"""Many part numbers, trained by the real commands."""

import csv
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import ConfigError
from tests.runtime.waiting import WAIT_S, wait_until
from training.many import find_parts, outcomes_table, run_here, run_on_ray, write_table
from training.part_run import Part, run_part

Config = Callable[..., dict[str, Any]]


def write_part(folder: Path, name: str, make: Config, data: Path, **changed: Any) -> Path:
    config = make(data, folder / "runs" / name, name=name, **changed)
    (folder / "parts").mkdir(exist_ok=True)
    path = folder / "parts" / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def trainings_below(process: int, config: str = "") -> list[int]:
    command = ["pgrep", "-P", str(process), "-f", f"train_model.*{config}"]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


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
        wait_until(lambda: bool(trainings_below(os.getpid(), "disc.yaml")))
        os.kill(trainings_below(os.getpid(), "disc.yaml")[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = {each.name: each for each in run_here(todo, cpus=1)}
    killer.join(WAIT_S)
    disc, lost = outcomes["disc"], outcomes["lost"]
    assert (disc.error, disc.tries) == ("", 2)
    assert disc.metrics is not None
    assert Path(disc.report).stat().st_size > 10_000
    assert lost.exit_code == 2
    assert "stands already and is kept" in lost.error
    # What is there is not done again.
    again = run_part(todo[0], threads=1)
    assert (again.tries, again.metrics) == (0, disc.metrics)
    write_table([lost, disc], tmp_path / "all.csv")
    rows = [*csv.DictReader((tmp_path / "all.csv").read_text().splitlines())]
    assert [(row["part"], row["tries"], row["good"]) for row in rows] == [("disc", "2", "12"), ("lost", "1", "-")]
    assert outcomes_table([lost, disc]).title == "2 parts, 1 failed"


def test_a_training_ends_with_whoever_started_it(tmp_path: Path, parts: Path, make_training_config: Config) -> None:
    config = write_part(tmp_path, "disc", make_training_config, parts, epochs=100_000)
    output = tmp_path / "runs" / "disc"
    program = (
        "from pathlib import Path; from training.part_run import Part, run_part; "
        f"run_part(Part('disc', Path({str(config)!r}), {str(parts)!r}, Path({str(output)!r})), 1)"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            wait_until(lambda: bool(trainings_below(process.pid)))
            (training,) = trainings_below(process.pid)
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
    first = write_part(tmp_path, "disc", make_training_config, parts)
    (tmp_path / "parts" / "copy.yaml").write_text(first.read_text())
    with pytest.raises(ConfigError, match="the same `name` or `output`"):
        find_parts(file)


@pytest.mark.ray
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)  # Ray's own
def test_ray_trains_them_too(
    tmp_path: Path, parts: Path, make_training_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    config = write_part(tmp_path, "disc", make_training_config, parts)
    (done,) = run_on_ray([Part("disc", config, (str(parts),), tmp_path / "runs" / "disc")], cpus=1, gpus=0.0)
    assert (done.error, done.tries) == ("", 1)
    assert Path(done.report).exists()
