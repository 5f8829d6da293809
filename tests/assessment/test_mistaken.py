"""A bundle where a checkpoint is asked for, and the reverse: said by name, with the command that helps."""

from pathlib import Path

import pytest

from assessment.prediction import predict
from core.errors import ArtifactError
from export.package import pack
from runtime.bundles.bundle import load_bundle
from training.detector.checkpoint import load_checkpoint


@pytest.fixture
def packed(exported: Path, tmp_path: Path) -> Path:
    pack(load_bundle(exported), tmp_path / "disc.pwae")
    return tmp_path / "disc.pwae"


def test_a_bundle_is_no_checkpoint(exported: Path, packed: Path, checkpoint: Path) -> None:
    unpack = f"{packed}: is a packed bundle; unpack it first: export-engine unpack {packed} --output FOLDER."
    for given, told in (
        (exported, f"{exported}: is a bundle; give the file `checkpoint` that `train-model` wrote."),
        (packed, unpack),
        (checkpoint.parent, f"{checkpoint.parent}: is the folder of a training; give {checkpoint}."),
    ):
        with pytest.raises(ArtifactError) as error:
            load_checkpoint(given)
        assert str(error.value) == told
    with pytest.raises(ArtifactError, match="unpack it first"):
        predict(packed, [packed])


def test_a_checkpoint_is_no_bundle(packed: Path, checkpoint: Path, tmp_path: Path) -> None:
    first = f"first: export-engine {checkpoint} --output FOLDER."
    for given, told in (
        (checkpoint, f"{checkpoint}: is a checkpoint; make a bundle of it {first}"),
        (checkpoint.parent, f"{checkpoint.parent}: is the folder of a training; make a bundle {first}"),
        (packed, f"{packed}: is a packed bundle; unpack it first: export-engine unpack {packed} --output FOLDER."),
    ):
        with pytest.raises(ArtifactError) as error:
            load_bundle(given)
        assert str(error.value) == told
    (tmp_path / "junk").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(ArtifactError, match=r"junk: no readable bundle.json in it \(Not a directory\)"):
        load_bundle(tmp_path / "junk")
