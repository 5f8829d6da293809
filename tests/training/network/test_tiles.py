import itertools
import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.network.tiles import merge, permutation_set, shuffle, split

grids = st.integers(1, 5)


@given(grids, st.integers(1, 3), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_merge_undoes_split_for_any_grid_and_size(grid: int, n: int, c: int, h: int, w: int) -> None:
    images = torch.rand(n, c, grid * h, grid * w)
    assert torch.equal(merge(split(images, grid)), images)


def test_tiles_are_row_major() -> None:
    image = torch.arange(36.0).reshape(1, 1, 6, 6)
    tiles = split(image, 3)
    assert tiles.shape == (1, 9, 1, 2, 2)
    assert torch.equal(tiles[0, 5, 0], image[0, 0, 2:4, 4:6])


def test_shuffle_shows_tile_order_i_at_place_i() -> None:
    tiles = torch.arange(4.0)[None, :, None]
    assert shuffle(tiles, torch.tensor([[2, 0, 3, 1]])).flatten().tolist() == [2, 0, 3, 1]


def test_the_permutation_set_is_large_distinct_and_far_apart() -> None:
    permutations = permutation_set(9, 1000, seed=0).numpy()
    assert permutations.shape == (1000, 9)
    assert (np.sort(permutations, axis=1) == np.arange(9)).all()
    assert (permutations[0] == np.arange(9)).all()
    distances = (permutations[:, None] != permutations[None]).sum(axis=2)[np.triu_indices(1000, 1)]
    assert distances.min() >= 4
    random = np.array([np.random.default_rng(i).permutation(9) for i in range(1000)])
    unchosen = (random[:, None] != random[None]).sum(axis=2)[np.triu_indices(1000, 1)]
    assert distances.min() > unchosen.min()


def test_the_permutation_set_follows_its_seed() -> None:
    assert torch.equal(permutation_set(9, 50, seed=3), permutation_set(9, 50, seed=3))
    assert not torch.equal(permutation_set(9, 50, seed=3), permutation_set(9, 50, seed=4))


def test_a_small_grid_gets_every_permutation_once() -> None:
    permutations = {tuple(row) for row in permutation_set(4, 1000, seed=0).tolist()}
    assert permutations == set(itertools.permutations(range(4)))
    assert len(permutation_set(1, 1000, seed=0)) == math.factorial(1)
