"""Pictures that show what hardly another shows are doubted; what a few share does not vouch for them."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.pictures import draw_part
from training.detector.inspector import Inspector
from training.first_look import MOST, doubted_among, rarities
from training.fitting.training_set import prepare
from training.network.network import Network
from training.network.tiles import permutation_set
from training.settings import TrainingSettings

PICTURES = 40
SEEN: dict[str, dict[str, Any]] = {
    "tiles": {"whole": False},
    "both": {"whole": True},
    "whole picture": {"tile_stages": [1]},
}


@pytest.fixture(scope="module", params=list(SEEN))
def inspector(request: pytest.FixtureRequest) -> Inspector:
    content = {
        "name": "disc",
        "data": "none",
        "output": "none",
        "network": {
            "height": 48,
            "width": 48,
            "tile_scale": 1.0,
            "encoder": {"name": "tiny", "stages": [1, 2], "stride": 8, "weights": None, **SEEN[request.param]},
            "equalise": False,
            "permutations": 10,
        },
    }
    settings = TrainingSettings.model_validate(content)
    torch.manual_seed(0)
    return Inspector(Network(settings.network, permutation_set(9, 10, 0)), settings.score)


def look(inspector: Inspector, frames: NDArray[np.uint8], seed: int = 0) -> NDArray[np.bool_]:
    return doubted_among(inspector, prepare(inspector.network, frames), len(frames), seed)


def frames_with(planted: int, seed: int = 0) -> NDArray[np.uint8]:
    """Good pictures, of which the first `planted` have the same black patch."""
    frames = np.stack([draw_part(seed * 1000 + number) for number in range(PICTURES)])
    frames[:planted, 4:20, 4:20] = 0
    return frames


@pytest.mark.parametrize("planted", [1, 2])
def test_pictures_that_share_a_defect_do_not_vouch_for_each_other(inspector: Inspector, planted: int) -> None:
    assert look(inspector, frames_with(planted))[:planted].all()


def test_not_more_than_a_tenth_is_doubted(inspector: Inspector) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (PICTURES, 48, 48, 3), np.uint8)
    frames[::3] = draw_part(0)
    assert look(inspector, frames).sum() <= MOST * PICTURES


def test_many_alike_are_a_kind_of_good_parts(inspector: Inspector) -> None:
    frames = np.stack([draw_part(number) for number in range(200)])
    frames[:22, 4:20, 4:20] = 0
    assert not look(inspector, frames)[:22].any()


def test_a_picture_is_as_rare_whatever_the_order(inspector: Inspector) -> None:
    frames = frames_with(2)
    order = np.random.default_rng(1).permutation(PICTURES)
    straight, turned = (
        rarities(inspector, prepare(inspector.network, some), PICTURES, 0) for some in (frames, frames[order])
    )
    assert turned == pytest.approx(straight[order], rel=0.02)
