"""The training step: what Eq. 20 weighs, and the schedule of the paper."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from training.network.network import Network
from training.network.tiles import permutation_set
from training.settings import TrainingSettings

if TYPE_CHECKING:
    from training.fitting.learner import Learner


@pytest.fixture
def learner(make_training_config: Callable[..., dict[str, Any]]) -> "Callable[..., Learner]":
    from training.fitting.learner import Learner  # with Lightning, which takes seconds: `make check` needs none

    def make(**changes: Any) -> Learner:
        settings = TrainingSettings.model_validate(make_training_config(Path("p"), Path("o"), **changes))
        return Learner(Network(settings.network, permutation_set(9, settings.network.permutations, 0)), settings)

    return make


def frames(count: int) -> torch.Tensor:
    return torch.randint(256, (count, 48, 48, 3), dtype=torch.uint8)


def test_the_total_is_the_weighted_sum_of_the_four_terms(learner: "Callable[..., Learner]") -> None:
    weights = {"pixels": 3.0, "hsic": 0.5, "swd": 0.25, "jigsaw": 2.0}
    made = learner(loss=weights | {"cosine": 0.0})
    torch.manual_seed(0)
    total = made.training_step([frames(6)], 0)
    assert set(weights) < set(made.steps[-1])
    expected = sum(weight * float(made.steps[-1][name]) for name, weight in weights.items())
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_a_term_of_weight_0_is_not_computed(learner: "Callable[..., Learner]") -> None:
    made = learner(loss={"hsic": 0.0, "swd": 0.0, "jigsaw": 0.0, "cosine": 0.0})
    made.training_step([frames(4)], 0)
    assert not {"hsic", "swd", "jigsaw"} & set(made.steps[-1])


def test_the_cosine_term_stresses_the_worst_places_where_asked(learner: "Callable[..., Learner]") -> None:
    terms = []
    for share in (1.0, 0.05):
        torch.manual_seed(0)
        network = {"height": 48, "width": 48, "permutations": 20}
        encoder = {"name": "tiny", "stages": [1, 2], "stride": 8, "frozen": True, "weights": None, "whole": False}
        made = learner(network={**network, "encoder": encoder}, loss={"cosine": 1.0, "worst_share": share})
        made.training_step([frames(6)], 0)
        terms.append(float(made.steps[-1]["cosine"]))
    plain, stressed = terms
    assert plain < stressed < 2


def test_the_rate_follows_the_papers_decay(learner: "Callable[..., Learner]") -> None:
    made = learner()

    class Steps:
        estimated_stepping_batches = 100

    made._trainer = Steps()  # type: ignore[assignment] # all that is asked of it
    chosen: Any = made.configure_optimizers()
    optimiser, schedule = chosen["optimizer"], chosen["lr_scheduler"]["scheduler"]
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.01)
    for _ in range(50):
        optimiser.step()
        schedule.step()
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.01 / (1 + 10 * 0.5) ** 0.75)
