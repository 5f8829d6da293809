from pathlib import Path

import numpy as np
import pytest

from core.dataset import hold_out, labelled_samples, read_frames, read_mask, training_samples
from core.errors import DataError


def test_mvtec_layout_gives_kinds_and_masks(parts: Path) -> None:
    assert len(training_samples(str(parts))) == 40
    samples = labelled_samples(str(parts))
    assert [s.kind for s in samples].count("good") == 12
    scratched = [s for s in samples if s.kind == "scratch"]
    assert len(scratched) == 8
    for sample in samples:
        assert read_mask(sample, 48, 48).any() == (sample.kind == "scratch")


def test_a_plain_folder_is_all_good(parts: Path) -> None:
    assert len(training_samples(str(parts / "train" / "good"))) == 40
    assert {s.kind for s in labelled_samples(str(parts / "train" / "good"))} == {"good"}


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        training_samples(str(tmp_path / "absent"))
    (tmp_path / "train" / "fine").mkdir(parents=True)
    with pytest.raises(DataError, match="train/good"):
        training_samples(str(tmp_path))


def test_the_elpv_split_is_the_fixed_one() -> None:
    for cell_type, train, good, defective in (("mono", 412, 176, 313), ("poly", 644, 276, 402)):
        data = f"elpv:{cell_type}"
        assert len(training_samples(data)) == train
        kinds = [s.kind for s in labelled_samples(data)]
        assert (kinds.count("good"), kinds.count("defective")) == (good, defective)
        assert not {s.path for s in training_samples(data)} & {s.path for s in labelled_samples(data)}
    with pytest.raises(DataError, match="elpv:mono and elpv:poly"):
        training_samples("elpv:duo")


def test_frames_have_the_models_size_and_a_fingerprint(parts: Path) -> None:
    samples = training_samples(str(parts))[:4]
    frames = read_frames(samples, 24, 36)
    assert frames.bgr_u8.shape == (4, 24, 36, 3)
    assert frames.fingerprint() == read_frames(samples, 24, 36).fingerprint()
    assert frames.fingerprint() != read_frames(samples[::-1], 24, 36).fingerprint()


def test_no_readable_picture_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"junk")
    with pytest.raises(DataError, match="none of 1 pictures could be read"):
        read_frames(training_samples(str(tmp_path)), 8, 8)


def test_held_out_pictures_are_never_trained_on() -> None:
    fitted, held_out = hold_out(101, 0.2, seed=3)
    assert len(held_out) == 20
    assert sorted([*fitted, *held_out]) == list(range(101))
    assert np.array_equal(hold_out(101, 0.2, seed=3)[1], held_out)
    assert not np.array_equal(hold_out(101, 0.2, seed=4)[1], held_out)
