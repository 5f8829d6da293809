import errno
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
import yaml

from core.errors import PwaeError
from tests.processes import interrupted, matching
from tests.runtime.waiting import wait_until
from training.detector.checkpoint import load_checkpoint
from training.fitting.resume_point import FOLDER, PICTURES, resume_points
from training.fitting.side_by_side import WORTH_STEPS, processes_for
from training.session import train
from training.settings import TrainingSettings

MakeConfig = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def worthwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.fitting.side_by_side.WORTH_STEPS", 1)


@pytest.fixture
def content(parts: Path, tmp_path: Path, make_training_config: MakeConfig) -> dict[str, Any]:
    content = make_training_config(parts, tmp_path / "run", loss={"cosine": 1.0}, folds=3, epochs=12, batch_size=2)
    content["network"]["encoder"] |= {"stages": [1, 2], "frozen": True}
    content["score"] = {"space": "features", "distance": "cosine", "worst_share": 0.1}
    return content


def test_members_of_many_steps_train_in_as_many_processes_as_there_are_cores(content: dict[str, Any]) -> None:
    settings = TrainingSettings.model_validate(content)
    enough = torch.arange(-(-WORTH_STEPS // settings.epochs) * settings.batch_size)
    assert processes_for(dict.fromkeys(range(3), enough), settings) == 2
    assert processes_for({1: enough}, settings) == 1, "one member cannot be parted"
    assert processes_for({0: enough, 1: enough[:-1]}, settings) == 1, "too short to be worth a process"
    assert processes_for({}, settings) == 1
    torch.set_num_threads(1)
    assert processes_for(dict.fromkeys(range(3), enough), settings) == 1


def test_side_by_side_killed_and_resumed_members_learn_what_they_learn_one_by_one(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)  # as many as each worker has
    one_by_one = load_checkpoint(train(TrainingSettings.model_validate(content)))
    torch.set_num_threads(2)
    config, output = tmp_path / "killed.yaml", tmp_path / "killed"
    content["output"] = str(output)
    config.write_text(yaml.safe_dump(content))
    program = (
        "import torch; torch.set_num_threads(2); "
        "import training.fitting.side_by_side as beside; beside.WORTH_STEPS = 1; "
        "from training import train_model; train_model()"
    )
    code, error = interrupted(program, str(config), lambda: bool(resume_points(output)), by=signal.SIGKILL)
    assert code == -signal.SIGKILL, error
    wait_until(lambda: not matching(str(output / FOLDER)))
    assert resume_points(output)
    assert not (output / "checkpoint").exists()
    monkeypatch.setattr("training.fitting.side_by_side.WORTH_STEPS", 1)
    resumed = load_checkpoint(train(TrainingSettings.model_validate(content), resume=True))
    found, wanted = resumed.inspector.state_dict(), one_by_one.inspector.state_dict()
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
    assert resumed.provenance["losses"] == pytest.approx(one_by_one.provenance["losses"], rel=1e-3)
    for member in range(1, 4):
        assert len((output / "logs" / f"decoder-{member}" / "metrics.csv").read_text().splitlines()) == 1 + 12
    assert capfd.readouterr().err.count("training: 100 %") == 2
    assert not (output / FOLDER).exists()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_what_ends_the_training_ends_the_workers_too_with_one_line(
    content: dict[str, Any], tmp_path: Path, by: signal.Signals
) -> None:
    config, output = tmp_path / "long.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump(content | {"epochs": 100_000}))
    program = "import torch; torch.set_num_threads(2); from training import train_model; train_model()"
    code, error = interrupted(program, str(config), lambda: len(resume_points(output)) == 2, by)
    assert code == 130
    assert error.splitlines()[-1] == "interrupted"
    assert "Traceback" not in error
    assert not matching(str(output / FOLDER))
    assert len(list((output / FOLDER).iterdir())) == 3, "what was handed over to them is as large as all pictures"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "decoders 1, 3 was ended by signal 9, .*--resume"),
        ("raise SystemExit(3)", "decoders 1, 3 failed, as it says above; exit code 3"),
    ],
)
def test_a_worker_that_ends_early_is_told(
    program: str, message: str, content: dict[str, Any], worthwhile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.fitting.side_by_side._PROGRAM", program)
    with pytest.raises(PwaeError, match=message):
        train(TrainingSettings.model_validate(content))


def test_a_worker_that_somebody_ends_ends_the_training_at_once(content: dict[str, Any], tmp_path: Path) -> None:
    config, output = tmp_path / "long.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump(content | {"epochs": 100_000}))
    program = "import torch; torch.set_num_threads(2); from training import train_model; train_model()"

    def is_ended() -> bool:
        if len(resume_points(output)) == 2:
            for worker in matching(str(output / FOLDER))[:1]:
                os.kill(worker, signal.SIGTERM)
        return False

    code, error = interrupted(program, str(config), is_ended)
    assert code == 1
    assert re.search(r"the process that trained decoders [\d, ]+ was ended by SIGTERM; go on with --resume", error)
    assert "Traceback" not in error
    assert not matching(str(output / FOLDER))


def test_a_full_disk_is_told_before_anything_is_trained(
    content: dict[str, Any], worthwhile: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_content: object, stream: BinaryIO) -> None:
        stream.write(b"half")
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            raise RuntimeError("unexpected pos 64 vs 0")  # noqa: B904, as torch does

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(OSError, match=r"No space left on device: .*handed-over.pt"):
        train(TrainingSettings.model_validate(content))
    assert [path.name for path in (tmp_path / "run" / FOLDER).iterdir()] == [PICTURES], "the room is free again"


def test_a_loss_that_explodes_in_a_worker_stops_with_the_term_and_the_remedy(
    content: dict[str, Any], worthwhile: None
) -> None:
    content["optimiser"] = {"name": "sgd", "learning_rate": 1e9}
    with pytest.raises(PwaeError, match=r"the \w+ loss became .* lower `optimiser.learning_rate`"):
        train(TrainingSettings.model_validate(content))
