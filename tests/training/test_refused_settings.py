"""What no training can do is refused before anything is read, or before what takes seconds to import."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from core.config import parse_settings
from core.errors import ConfigError, DataError
from tests.pictures import write_picture
from training.session import train
from training.settings import TrainingSettings


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("devices", 999, r"`devices: 999`: this machine has \d+ (cores|GPUs); give no more, or `auto`"),
        ("seed", -1, "a.yaml: `seed`: "),
        ("seed", 2**32, "a.yaml: `seed`: "),
        ("name", "", "a.yaml: `name`: it is empty; a text is needed"),
        ("name", "two\nlines", "a.yaml: `name`: one line without control characters is taken"),
        ("name", "x" * 301, "a.yaml: `name`: "),
        ("data", "", "a.yaml: `data`: it is empty; a text is needed"),
        ("data", [""], "a.yaml: `data.0`: it is empty; a text is needed"),
        ("output", "", "a.yaml: `output`: it is empty; a text is needed"),
    ],
)
def test_it_is_refused_with_the_key(
    key: str, value: object, said: str, tmp_path: Path, make_training_config: Callable[..., dict[str, Any]]
) -> None:
    config = make_training_config(tmp_path, tmp_path / "run") | {key: value}
    with pytest.raises(ConfigError) as told:
        train(parse_settings(config, TrainingSettings, "a.yaml"))
    assert re.match(said, str(told.value))


def test_too_few_pictures_are_told_before_lightning_is_imported(
    tmp_path: Path, make_training_config: Callable[..., dict[str, Any]]
) -> None:
    write_picture(tmp_path / "parts" / "a.png", np.full((48, 48, 3), 90, np.uint8))
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(make_training_config(tmp_path / "parts", tmp_path / "run")))
    program = "import sys; sys.modules['lightning'] = None; from training import train_model; train_model()"
    command = [sys.executable, "-c", program, str(tmp_path / "a.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == DataError.exit_code, ended.stderr
