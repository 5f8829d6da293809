"""The doctor's look at the evidence's folder."""

from pathlib import Path

import pytest

from core.errors import ConfigError
from runtime.evidence.check import check_folder
from runtime.evidence.settings import EvidenceSettings
from tests.full_disk import full_disk


def test_a_full_disk_is_told_as_that_and_nothing_is_left_there(tmp_path: Path) -> None:
    with full_disk(0), pytest.raises(ConfigError, match=r"cannot be written \(File too large\); free the disk, "):
        check_folder(EvidenceSettings(folder=tmp_path))
    assert not list(tmp_path.iterdir())
