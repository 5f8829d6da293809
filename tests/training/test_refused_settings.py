"""What no training can do is refused before anything is read."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.config import parse_settings
from core.errors import ConfigError
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
