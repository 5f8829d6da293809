from typing import Literal

import pytest
import torch
from torch.nn.functional import cosine_similarity

from training.network.distance import stage_distances


def test_a_place_has_one_minus_the_cosine_of_each_stage() -> None:
    rebuilt, target = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 3, 4)
    distances = stage_distances(rebuilt, target, [2, 3], "cosine")
    expected = [1 - cosine_similarity(rebuilt[:, a:b], target[:, a:b], dim=1) for a, b in ((0, 2), (2, 5))]
    assert torch.allclose(distances, torch.stack(expected, dim=1), atol=1e-6)


def test_a_place_has_the_mean_squared_difference_of_each_stage() -> None:
    rebuilt, target = torch.zeros(1, 3, 1, 1), torch.tensor([2.0, 1.0, 3.0]).reshape(1, 3, 1, 1)
    assert stage_distances(rebuilt, target, [1, 2], "squared").flatten().tolist() == [4, 5]


@pytest.mark.parametrize("distance", ["squared", "cosine"])
def test_a_map_of_nought_has_a_finite_gradient(distance: Literal["squared", "cosine"]) -> None:
    rebuilt = torch.zeros(1, 2, 1, 1, requires_grad=True)
    stage_distances(rebuilt, torch.ones(1, 2, 1, 1), [2], distance).sum().backward()
    assert rebuilt.grad is not None
    assert torch.isfinite(rebuilt.grad).all()
