"""Training in two processes, as with two GPUs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from training.detector.checkpoint import load_checkpoint

MakeConfig = Callable[..., dict[str, Any]]
OF_A_JOB = {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "7", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0"}
"""What Slurm tells a script of a job of four tasks: it starts none of them."""
OF_TWO_MINDS = """
import os
import numpy as np
import training.session
from training.cli import train_model

def doubted_among(inspector, dataset, pictures, seed):
    mine = int(os.environ.get("LOCAL_RANK", "0"))
    return np.arange(pictures) < 16 * mine

training.session.doubted_among = doubted_among
train_model()
"""


def test_two_processes_learn_as_one_does(parts: Path, tmp_path: Path, make_training_config: MakeConfig) -> None:
    losses = {}
    for devices, batch_size in ((1, 8), (2, 4)):
        output = tmp_path / f"devices-{devices}"
        config = tmp_path / f"{devices}.yaml"
        content = make_training_config(parts, output, epochs=15, devices=devices, batch_size=batch_size)
        content["optimiser"] = {"name": "adamw", "learning_rate": 0.005}
        config.write_text(yaml.safe_dump(content))
        program = "from training.cli import train_model; train_model()"
        (tmp_path / "program.py").write_text(program)
        command = [sys.executable, str(tmp_path / "program.py"), str(config)]
        subprocess.run(command, env=os.environ | OF_A_JOB, check=True, capture_output=True, timeout=250)
        losses[devices] = load_checkpoint(output / "checkpoint").provenance["losses"]
    untrained = 0.026  # what a grey picture of the mean brightness leaves
    assert max(losses[1]["pixels"], losses[2]["pixels"]) < 0.25 * untrained
    assert losses[2]["pixels"] == pytest.approx(losses[1]["pixels"], rel=0.5)


def test_processes_that_doubt_other_pictures_train_on_what_the_first_one_believes(
    parts: Path, tmp_path: Path, make_training_config: MakeConfig
) -> None:
    """Each alone would take another number of steps, and one would wait for the other for ever."""
    config = tmp_path / "two.yaml"
    content = make_training_config(parts, tmp_path / "two", epochs=2, devices=2, batch_size=4, folds=2)
    content["network"]["encoder"]["frozen"] = True
    config.write_text(yaml.safe_dump(content))
    (tmp_path / "program.py").write_text(OF_TWO_MINDS)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "checkpoint").write_text("of last week")
    command = [sys.executable, str(tmp_path / "program.py"), str(config), "--replace"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = [done.stderr.count(each) for each in ("trained on as good parts", "training: 100 %")]
    told.append(done.stdout.count("checkpoint: "))
    assert told == [1, 1, 1], "the first one tells for both, when all is written"
    assert not load_checkpoint(tmp_path / "two" / "checkpoint").calibration.doubted.any()
