import numpy as np

from core.pictures.tiles import corners, output_names, over_thresholds
from core.thresholds import calibrate


def test_names_follow_the_grid() -> None:
    assert output_names(5) == ["image", "tile 1,1", "tile 1,2", "tile 2,1", "tile 2,2"]


def test_tiles_lie_row_by_row_and_leave_no_pixel_out() -> None:
    seen = np.zeros((7, 11), int)
    for k in range(9):
        (top, left), (bottom, right) = corners(k, 3, *seen.shape)
        assert (top == 0, left == 0) == (k < 3, k % 3 == 0)
        seen[top:bottom, left:right] += 1
    assert (seen == 1).all()


def test_each_place_of_a_map_is_held_against_its_own_tile() -> None:
    good = np.random.default_rng(0).uniform(1, 2, (200, 5)) * [1, 1, 2, 4, 8]
    thresholds = calibrate(good, 0.05)
    share = over_thresholds(np.ones((4, 4), np.float32), thresholds, 2)
    assert np.allclose(share[::2, ::2].ravel() * thresholds.values[1:], 1)
