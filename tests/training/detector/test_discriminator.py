"""Discriminators: told from good places alone what is disturbed, each without the fold that it judges."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from core.calibration import Calibration
from core.dataset import Sample
from tests.pictures import draw_part
from training.detector.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.detector.discriminator import VIEWS, Discriminators, discriminate, trained, views
from training.detector.inspector import Inspector
from training.fitting.training_set import TrainingSet, prepare
from training.folds import judge_held_out
from training.network.network import Network
from training.network.resize import resize
from training.network.tiles import permutation_set
from training.settings import TrainingSettings

PICTURES = 8
FOLDS = [np.arange(0, PICTURES, 2), np.arange(1, PICTURES, 2)]
ENCODER = {"name": "tiny", "stages": [1, 2], "stride": 8, "weights": None}
NETWORK = {"height": 48, "width": 48, "tile_scale": 1.0, "encoder": ENCODER, "equalise": False, "permutations": 10}
SETTINGS = TrainingSettings.model_validate(
    {"name": "disc", "data": "", "output": "", "network": NETWORK, "score": {"memory": 10}, "false_reject_rate": 0.2}
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


def test_what_is_learned_weighs_as_much_as_what_is_rebuilt(judged: tuple[Inspector, TrainingSet, Calibration]) -> None:
    """Over the good pictures, each judged by what has not seen it, the logarithms spread alike."""
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
    for view in range(-VIEWS, 0):
        assert scaled[:, view].std() == pytest.approx(float(whole.std()), rel=1e-3)


def test_whatever_a_picture_shows_its_errors_are_numbers(judged: tuple[Inspector, TrainingSet, Calibration]) -> None:
    inspector, _, _ = judged
    with torch.inference_mode():
        distances = torch.ones(1, *inspector.stage_scale.shape[:1], 9, 9)
        for extreme in (-1e9, 1e9):
            distances[:, -VIEWS:] = extreme
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


@pytest.mark.parametrize("encoder", [{"fine": False}, {"whole": False}])
def test_none_judges_where_none_was_asked_for_or_the_whole_picture_is_not_seen(encoder: dict[str, bool]) -> None:
    network = {**NETWORK, "encoder": {**ENCODER, **encoder}}
    settings = TrainingSettings.model_validate({"name": "disc", "data": "", "output": "", "network": network})
    inspector = Inspector(Network(settings.network, permutation_set(9, 10, 0), 1), settings.score)
    assert not list(inspector.discriminators)
    with torch.inference_mode():
        assert inspector(torch.from_numpy(draw_part(0)[None]))[0].isfinite().all()


@torch.inference_mode()
def test_one_view_is_the_whole_picture_s_and_one_its_first_stage_in_finer_places() -> None:
    network = new_inspector().network
    images = network.images(torch.from_numpy(draw_part(0)[None]))
    whole, fine = views(network, network.raw_maps(images))
    height, width = (network.settings.grid * side for side in network.map_size)
    stages = network.encoder(images)
    assert whole.shape == (1, sum(network.feature_channels) // 2, height, width)
    assert torch.equal(fine, resize(stages[0], 3 * height, 3 * width))
    assert torch.equal(whole[:, : stages[0].shape[1]], resize(stages[0], height, width))


@torch.inference_mode()
def test_a_place_is_as_disturbed_as_the_most_disturbed_fine_place_in_it(
    judged: tuple[Inspector, TrainingSet, Calibration],
) -> None:
    inspector, dataset, _ = judged
    [(_, maps)] = dataset.batches(np.array([0]))
    of_fine = cast(Discriminators, inspector.discriminators[0])[1]
    fine = of_fine(inspector.network.fine(maps))
    told = inspector.told(maps, 0)[0, 1]
    for row, column in ((0, 0), (1, 2), (-1, -1)):
        rows, columns = (slice(3 * at, 3 * at + 3 or None) for at in (row, column))
        assert told[row, column] == fine[0, 0, rows, columns].max()
