import numpy as np
import pytest

from core.config import parse_settings
from core.errors import ConfigError
from tests.pictures import draw_part
from training.fitting.augment import with_copies
from training.settings import AugmentSettings

FRAMES = np.stack([draw_part(seed) for seed in range(4)])


def test_no_copies_leave_the_frames_as_they_are() -> None:
    assert np.array_equal(with_copies(FRAMES, AugmentSettings(), 0), FRAMES)


def test_copies_come_after_the_originals_and_follow_the_seed() -> None:
    settings = AugmentSettings(copies=2, rotate_degrees=180, flip=True)
    copies = with_copies(FRAMES, settings, 0)
    assert copies.shape == (12, *FRAMES.shape[1:])
    assert np.array_equal(copies[:4], FRAMES)
    assert np.array_equal(copies, with_copies(FRAMES, settings, 0))
    assert not np.array_equal(copies, with_copies(FRAMES, settings, 1))


def test_flips_only_reorder_pixels() -> None:
    flipped = with_copies(FRAMES, AugmentSettings(copies=3, flip=True), 0)
    assert all(
        np.array_equal(np.sort(copy, axis=None), np.sort(FRAMES[i % 4], axis=None)) for i, copy in enumerate(flipped)
    )


def test_a_turned_disc_is_still_a_disc() -> None:
    turned = with_copies(FRAMES, AugmentSettings(copies=1, rotate_degrees=90), 0)[4:]
    inside, corner = turned[:, 20:28, 20:28].mean(), turned[:, :4, :4].mean()
    assert inside == pytest.approx(FRAMES[:, 20:28, 20:28].mean(), rel=0.05)
    assert corner == pytest.approx(FRAMES[:, :4, :4].mean(), rel=0.1)


def test_copies_without_a_movement_are_refused() -> None:
    with pytest.raises(ConfigError, match="go together"):
        parse_settings({"copies": 2}, AugmentSettings, "a.yaml")
