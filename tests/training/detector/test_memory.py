"""The memory: places of good pictures, of each fold by themselves, and how far a place is from all of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.calibration import Calibration
from core.errors import ArtifactError
from tests.pictures import draw_part
from training.detector.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.detector.inspector import Inspector
from training.detector.memory import LEAST, memories, nearest, place_vectors, remember
from training.fitting.training_set import TrainingSet, prepare
from training.network.network import Network
from training.network.tiles import permutation_set
from training.settings import TrainingSettings

PICTURES = 8
SEEN: dict[str, dict[str, Any]] = {
    "tiles": {"whole": False},
    "both": {"whole": True},
    "whole picture": {"tile_stages": [1]},
}
FOLDS = [np.arange(0, PICTURES, 2), np.arange(1, PICTURES, 2)]


@pytest.fixture(scope="module", params=list(SEEN))
def inspector(request: pytest.FixtureRequest) -> Inspector:
    encoder = {"name": "tiny", "stages": [1, 2], "stride": 8, "weights": None, **SEEN[request.param]}
    network = {"height": 48, "width": 48, "tile_scale": 1.0, "encoder": encoder, "equalise": False, "permutations": 10}
    settings = TrainingSettings.model_validate({"name": "disc", "data": "none", "output": "none", "network": network})
    torch.manual_seed(0)
    return Inspector(Network(settings.network, permutation_set(9, 10, 0), len(FOLDS)), settings.score)


@pytest.fixture(scope="module")
def dataset(inspector: Inspector) -> TrainingSet:
    return prepare(inspector.network, np.stack([draw_part(number) for number in range(PICTURES)]))


def vectors_of(inspector: Inspector, dataset: TrainingSet, picture: int) -> list[torch.Tensor]:
    [(_, maps)] = dataset.batches(np.array([picture]))
    return [vectors.flatten(2)[0].T for vectors in place_vectors(inspector.network, maps)]


@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 1000))
def test_the_nearest_place_is_that_of_all_distances_one_by_one(groups: int, places: int, seed: int) -> None:
    drawn = torch.Generator().manual_seed(seed)
    vectors = torch.randn(2, 6, 2, 3, generator=drawn)
    memory = torch.randn(groups, places, 6, generator=drawn)
    expected = torch.cdist(vectors.permute(0, 2, 3, 1)[None], memory[:, None, None]).amin(dim=4).square()
    assert torch.allclose(nearest(vectors, memory), expected.clamp_min(LEAST), atol=1e-4)


@torch.inference_mode()
def test_each_group_remembers_places_of_its_own_pictures_as_many_as_were_asked_for(
    inspector: Inspector, dataset: TrainingSet
) -> None:
    memory = remember(inspector.network, dataset, FOLDS, 10, 0)
    assert memory.shape[:3] == (memories(inspector.network), len(FOLDS), 10 // len(FOLDS))
    for group, fold in enumerate(FOLDS):
        for source, places in enumerate(
            zip(*(vectors_of(inspector, dataset, one) for one in fold.tolist()), strict=True)
        ):
            apart = torch.cdist(memory[source, group], torch.cat(places))
            assert (apart.amin(dim=1) < 1e-2).all()


@torch.inference_mode()
def test_of_few_pictures_all_places_are_remembered_and_nothing_is_near_what_a_group_lacks(
    inspector: Inspector, dataset: TrainingSet
) -> None:
    """A fold has no pictures where all of it stands apart, or where there are more folds than pictures."""
    groups = [np.array([0]), np.array([], np.int64), np.array([1, 2])]
    memory = remember(inspector.network, dataset, groups, 10_000, 0)
    kept = sum(map(len, groups))
    for source, each in enumerate(zip(*(vectors_of(inspector, dataset, one) for one in range(kept)), strict=True)):
        assert memory.shape[2] == 2 * len(each[0])
        for places, group in zip(each, (0, 2, 2), strict=True):
            far = nearest(places.T[None, :, :, None], memory[source])
            assert far[group].max() < 10 * LEAST
            assert far[1].min() > 1e6


@torch.inference_mode()
def test_no_member_remembers_the_fold_that_it_judges(inspector: Inspector, dataset: TrainingSet) -> None:
    inspector.memory = remember(inspector.network, dataset, FOLDS, 10_000, 0)
    for own, fold in enumerate(FOLDS):
        for _, maps in dataset.batches(fold):
            far = inspector.remembered(maps)
            assert far[own].mean() > 10 * LEAST
            assert far[1 - own].max() == pytest.approx(LEAST)


def test_a_checkpoint_keeps_what_is_remembered(inspector: Inspector, dataset: TrainingSet, tmp_path: Path) -> None:
    inspector.memory = remember(inspector.network, dataset, FOLDS, 10, 0)
    network = inspector.network.settings.model_dump()
    settings = TrainingSettings.model_validate({"name": "disc", "data": "none", "output": "none", "network": network})
    calibration = Calibration(tuple("abcd"), np.ones((4, 10)), np.zeros(4, bool), np.arange(4))
    thresholds = calibration.thresholds(0.5)
    save_checkpoint(tmp_path / "one", Checkpoint(inspector, settings, thresholds, calibration, {}))
    assert torch.equal(load_checkpoint(tmp_path / "one").inspector.memory, inspector.memory)
    content = torch.load(tmp_path / "one", weights_only=True)
    content["weights"]["memory"] = content["weights"]["memory"][..., 1:]
    torch.save(content, tmp_path / "another's")
    with pytest.raises(ArtifactError, match="damaged"):
        load_checkpoint(tmp_path / "another's")


@torch.inference_mode()
def test_what_no_good_picture_shows_is_far(inspector: Inspector, dataset: TrainingSet) -> None:
    inspector.memory = remember(inspector.network, dataset, FOLDS, 10_000, 0)
    pictures = draw_part(100, defective=True), draw_part(101)
    maps = inspector.network.maps(inspector.network.images(torch.from_numpy(np.stack(pictures))))
    scratched, good = inspector.remembered(maps).mean(dim=0).amax(dim=(1, 2, 3))
    assert scratched > 2 * good
