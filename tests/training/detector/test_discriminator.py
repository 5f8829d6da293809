"""Discriminators: told from good places alone what is disturbed, each without the fold that it judges."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.calibration import Calibration
from core.dataset import Sample
from tests.pictures import draw_part
from training.detector.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.detector.discriminator import Discriminator, discriminate, told_apart, trained
from training.detector.inspector import LEARNED, Inspector
from training.fitting.training_set import TrainingSet, prepare
from training.folds import judge_held_out
from training.network.network import Network
from training.network.tiles import permutation_set
from training.settings import TrainingSettings

PICTURES = 8
FOLDS = [np.arange(0, PICTURES, 2), np.arange(1, PICTURES, 2)]
ENCODER = {"name": "tiny", "stages": [1, 2], "stride": 8, "weights": None}
NETWORK = {"height": 48, "width": 48, "tile_scale": 1.0, "encoder": ENCODER, "equalise": False, "permutations": 10}
SETTINGS = TrainingSettings.model_validate(
    {
        "name": "disc",
        "data": "good",
        "output": "out",
        "network": NETWORK,
        "score": {"memory": 10},
        "false_reject_rate": 0.2,
    }
)


def new_inspector() -> Inspector:
    torch.manual_seed(0)
    return Inspector(Network(SETTINGS.network, permutation_set(9, 10, 0), len(FOLDS)), SETTINGS.score)


def dataset_of(inspector: Inspector, pictures: list[np.ndarray]) -> TrainingSet:
    return prepare(inspector.network, np.stack(pictures))


@pytest.fixture(scope="module")
def judged() -> tuple[Inspector, TrainingSet, Calibration]:
    """A detector that remembers and tells apart, and what it says of the good pictures."""
    inspector = new_inspector()
    dataset = dataset_of(inspector, [draw_part(number) for number in range(PICTURES)])
    samples = [Sample(Path(str(number)), "good") for number in range(PICTURES)]
    nobody = np.zeros(PICTURES, bool)
    calibration = judge_held_out(inspector, dataset, FOLDS, samples, nobody, np.arange(PICTURES), SETTINGS)
    return inspector, dataset, calibration


def test_disturbed_places_are_told_from_places_that_were_never_shown() -> None:
    drawn = torch.Generator().manual_seed(0)
    mixing = torch.randn(4, 32, generator=drawn) / 2

    def places(count: int) -> torch.Tensor:
        """They differ among themselves in four ways alone, as good parts do."""
        return torch.randn(count, 4, generator=drawn) @ mixing

    discriminator = trained(places(2000), 0)
    fresh = places(200)
    beside = fresh + 0.5 * torch.randn(fresh.shape, generator=drawn)
    good, bad = (discriminator(each[:, :, None, None]).flatten() for each in (fresh, beside))
    assert (good < 0).float().mean() > 0.9
    assert (bad > 0).float().mean() > 0.9


def test_a_member_s_discriminator_has_not_seen_the_fold_that_it_judges() -> None:
    """Other pictures in a member's own fold leave its discriminator as it was, and change the other member's."""
    inspector = new_inspector()
    pictures = [draw_part(number) for number in range(PICTURES)]
    dataset = dataset_of(inspector, pictures)
    before = discriminate(inspector.network, dataset, FOLDS, 0)
    assert dataset.raw_maps is not None
    dataset.raw_maps = dataset.raw_maps.clone()
    for number in FOLDS[0].tolist():
        images = inspector.network.images(torch.from_numpy(draw_part(100 + number, defective=True)[None]))
        dataset.raw_maps[number] = inspector.network.raw_maps(images).detach().half()[0]
    after = discriminate(inspector.network, dataset, FOLDS, 0)
    learned = [
        [torch.cat([weight.flatten() for weight in each.parameters()]) for each in all_] for all_ in (before, after)
    ]
    assert [torch.equal(*both) for both in zip(*learned, strict=True)] == [True, False]


def test_one_member_learns_from_what_it_was_trained_on() -> None:
    inspector = new_inspector()
    dataset = dataset_of(inspector, [draw_part(number) for number in range(PICTURES)])
    assert len(discriminate(inspector.network, dataset, [np.arange(5)], 0)) == 1


def test_what_is_learned_weighs_half_of_what_is_rebuilt(
    judged: tuple[Inspector, TrainingSet, Calibration],
) -> None:
    """Over the good pictures, each judged by what has not seen it, its logarithm spreads half as much."""
    inspector, dataset, _ = judged
    stages = len(inspector.network.feature_channels) // inspector.network.sources
    with torch.inference_mode():
        distances = torch.cat(
            [
                inspector.distances(images, maps, member)
                for member, held in enumerate(FOLDS)
                for images, maps in dataset.batches(held)
            ]
        )
    scaled = distances / inspector.stage_scale
    whole = scaled[:, stages : 2 * stages].mean(dim=1).log()
    assert scaled[:, -1].std() == pytest.approx(LEARNED * float(whole.std()), rel=1e-3)


def test_whatever_a_picture_shows_its_errors_are_numbers(judged: tuple[Inspector, TrainingSet, Calibration]) -> None:
    inspector, _, _ = judged
    with torch.inference_mode():
        distances = torch.ones(1, *inspector.stage_scale.shape[:1], 9, 9)
        for extreme in (-1e9, 1e9):
            distances[:, -1] = extreme
            assert inspector.errors(distances)[0].isfinite().all()


def test_a_checkpoint_keeps_what_was_learned(
    judged: tuple[Inspector, TrainingSet, Calibration], tmp_path: Path
) -> None:
    inspector, _, calibration = judged
    thresholds = calibration.thresholds(SETTINGS.false_reject_rate)
    save_checkpoint(tmp_path / "one", Checkpoint(inspector, SETTINGS, thresholds, calibration, {}))
    frames = torch.from_numpy(draw_part(50)[None])
    loaded = load_checkpoint(tmp_path / "one").inspector
    with torch.inference_mode():
        assert torch.equal(loaded(frames)[0], inspector(frames)[0])


@pytest.mark.parametrize("score", [{"memory": 0}, {"memory": 10, "discriminator": False}])
def test_none_judges_where_none_was_asked_for(score: dict[str, int]) -> None:
    settings = TrainingSettings.model_validate(SETTINGS.model_dump() | {"score": score})
    inspector = Inspector(Network(settings.network, permutation_set(9, 10, 0), 1), settings.score)
    assert not list(inspector.discriminators)
    with torch.inference_mode():
        assert inspector(torch.from_numpy(draw_part(0)[None]))[0].isfinite().all()


@pytest.mark.parametrize(("encoder", "first"), [({"whole": True}, 1), ({"whole": False}, 0), ({"tile_stages": [1]}, 0)])
def test_it_sees_the_whole_picture_s_maps_where_they_are_judged(encoder: dict[str, Any], first: int) -> None:
    settings = TrainingSettings.model_validate(
        {"name": "disc", "data": "good", "output": "out", "network": {**NETWORK, "encoder": {**ENCODER, **encoder}}}
    )
    network = Network(settings.network, permutation_set(9, 10, 0), 1)
    channels = sum(network.feature_channels) // network.sources
    maps = torch.arange(len(network.feature_mean), dtype=torch.float32)[None, :, None, None]
    seen = told_apart(network, maps)
    assert torch.equal(seen, network.judged(maps)[:, first * channels :])
    assert Discriminator(channels)(seen).shape == (1, 1, 1, 1)


def test_a_checkpoint_of_before_them_judges_without_them(
    judged: tuple[Inspector, TrainingSet, Calibration], tmp_path: Path
) -> None:
    score = SETTINGS.score.model_copy(update={"discriminator": False})
    settings = SETTINGS.model_copy(update={"score": score})
    inspector = Inspector(Network(settings.network, permutation_set(9, 10, 0), len(FOLDS)), score)
    calibration = judged[2]
    thresholds = calibration.thresholds(settings.false_reject_rate)
    save_checkpoint(tmp_path / "one", Checkpoint(inspector, settings, thresholds, calibration, {}))
    content = torch.load(tmp_path / "one", weights_only=True)
    written = json.loads(content["settings"])
    del written["score"]["discriminator"]
    torch.save({**content, "settings": json.dumps(written)}, tmp_path / "before")
    assert not list(load_checkpoint(tmp_path / "before").inspector.discriminators)
