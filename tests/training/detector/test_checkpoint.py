import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import ArtifactError
from tests.full_disk import full_disk
from training.detector.checkpoint import load_checkpoint, save_checkpoint


def test_what_is_saved_is_what_is_loaded(checkpoint: Path, tmp_path: Path) -> None:
    one = load_checkpoint(checkpoint)
    save_checkpoint(tmp_path / "copy", one)
    other = load_checkpoint(tmp_path / "copy")
    frames = torch.randint(0, 255, (2, 48, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(one.inspector(frames)[0], other.inspector(frames)[0])
    assert (one.settings, one.thresholds, one.provenance) == (other.settings, other.thresholds, other.provenance)


def test_a_disk_that_fills_is_told_and_the_one_of_before_stays(checkpoint: Path, tmp_path: Path) -> None:
    one, there = load_checkpoint(checkpoint), tmp_path / "checkpoint"
    there.write_bytes(b"of before")
    with full_disk(1000), pytest.raises(OSError, match=r"checkpoint"):
        save_checkpoint(there, one)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("checkpoint", b"of before")]


def test_missing_damaged_and_foreign_files_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "absent")
    cut = tmp_path / "cut"
    cut.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(ArtifactError, match="damaged"):
        load_checkpoint(cut)
    flipped = bytearray(checkpoint.read_bytes())
    flipped[len(flipped) // 2] ^= 0x40
    cut.write_bytes(flipped)
    with pytest.raises(ArtifactError, match="damaged"):
        load_checkpoint(cut)
    torch.save({"state_dict": {}}, tmp_path / "foreign")
    with pytest.raises(ArtifactError, match="not a P-WAE checkpoint"):
        load_checkpoint(tmp_path / "foreign")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (
            "thresholds",
            lambda text: text.replace(":[", ":[1.0,"),
        ),
        ("calibration_errors", lambda errors: errors[:, :4]),
        ("doubted", lambda doubted: doubted[1:]),
        ("weights", lambda weights: weights | {"network.feature_mean": weights["network.feature_mean"] * torch.nan}),
    ],
)
def test_what_does_not_belong_together_is_refused(
    checkpoint: Path, tmp_path: Path, name: str, change: Callable[[Any], Any]
) -> None:
    content = torch.load(checkpoint, weights_only=True)
    torch.save(content | {name: change(content[name])}, tmp_path / "mixed")
    with pytest.raises(ArtifactError, match="damaged"):
        load_checkpoint(tmp_path / "mixed")


def test_one_of_before_there_was_a_memory_judges_by_its_decoders_alone(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    settings = json.loads(content["settings"])
    assert settings["score"].pop("memory") == 0
    torch.save(content | {"settings": json.dumps(settings)}, tmp_path / "older")
    assert load_checkpoint(tmp_path / "older").settings == load_checkpoint(checkpoint).settings


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("/tmp/p-wae-was-here"),))  # type: ignore[return-value] # noqa: S108


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "evil"
    path.write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(ArtifactError):
        load_checkpoint(path)
    torch.save({"format": "p-wae-checkpoint/1", "settings": _Evil()}, path)
    with pytest.raises(ArtifactError):
        load_checkpoint(path)
    assert not Path("/tmp/p-wae-was-here").exists()  # noqa: S108
