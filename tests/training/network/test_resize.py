"""Resizing inside the graph."""

import pytest
import torch
from torch.nn.functional import interpolate

from training.network.resize import resize


@pytest.mark.parametrize(("source", "target"), [((25, 13), (7, 5)), ((12, 12), (4, 4)), ((7, 7), (7, 7))])
def test_area_resize_equals_torchs_where_torch_has_it(source: tuple[int, int], target: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *source)
    ours = resize(x, *target)
    assert ours.shape[2:] == target
    assert torch.allclose(ours.mean(), x.mean(), atol=1e-5)
    if all(s % t == 0 for s, t in zip(source, target, strict=True)):
        assert torch.allclose(ours, interpolate(x, size=target, mode="area"), atol=1e-6)
