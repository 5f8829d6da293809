import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from assessment.localisation import aupro, localisation_metrics
from core.datasets.dataset import labelled_samples
from core.datasets.frames import read_mask
from core.pictures.geometry import ModelInput, Pose
from training.settings import NetworkSettings

NETWORK = NetworkSettings(height=48, width=48)


def squares() -> np.ndarray:
    masks = np.zeros((3, 40, 40), bool)
    masks[1, 5:10, 5:10] = True
    masks[1, 20:36, 20:36] = True
    return masks


def test_a_perfect_map_has_aupro_1_and_a_blind_one_what_chance_gives() -> None:
    masks = squares()
    assert aupro(masks, masks.astype(float)) == pytest.approx(1)
    noise = np.random.default_rng(0).random(masks.shape)
    assert aupro(masks, noise) == pytest.approx(0.15, abs=0.05)  # overlap = false-positive rate: 0.3^2 / 2 / 0.3


def test_small_regions_count_as_much_as_large_ones() -> None:
    masks = squares()
    only_large = masks.astype(float)
    only_large[1, 5:10, 5:10] = 0
    assert 0.45 < aupro(masks, only_large + np.random.default_rng(0).random(masks.shape) * 1e-3) < 0.65


def test_maps_that_mark_the_defects_score_high(parts: Path) -> None:
    samples = labelled_samples(str(parts))
    masks = np.stack([read_mask(sample, ModelInput(12, 12)) for sample in samples]).astype(np.float32)
    noise = np.random.default_rng(0).random(masks.shape).astype(np.float32)
    metrics = localisation_metrics(samples, masks + 0.1 * noise, NETWORK)
    assert metrics["pixel_auroc"] is not None
    assert metrics["pixel_auroc"] > 0.9
    assert metrics["aupro"] is not None
    assert metrics["aupro"] > 0.7


def test_without_masks_there_is_nothing_to_measure(parts: Path) -> None:
    samples = labelled_samples(str(parts / "test" / "good"))
    maps = np.zeros((len(samples), 4, 4), np.float32)
    assert localisation_metrics(samples, maps, NETWORK) == {"pixel_auroc": None, "aupro": None, "masks_vanished": 0}


def write_line(root: Path, marked: bool = True) -> Path:
    """A good picture and one with a defect one pixel thin, both 700 pixels wide."""
    for folder in ("test/good", "test/scratch", "ground_truth/scratch"):
        (root / folder).mkdir(parents=True)
    for grey, kind in ((90, "good"), (91, "scratch")):
        cv2.imwrite(str(root / "test" / kind / "0.png"), np.full((700, 700), grey, np.uint8))
    mask = np.zeros((700, 700), np.uint8)
    mask[350, 100:600] = 255 * marked
    cv2.imwrite(str(root / "ground_truth" / "scratch" / "0_mask.png"), mask)
    return root


@pytest.mark.parametrize("pose", [None, Pose((600, 500))])
def test_a_thin_defect_does_not_vanish(tmp_path: Path, pose: Pose | None) -> None:
    good, scratched = labelled_samples(str(write_line(tmp_path)))
    cv2.imwrite(
        str(scratched.path), cv2.ellipse(np.zeros((700, 700), np.uint8), (350, 350), (280, 200), 20, 0, 360, 200, -1)
    )
    mask = read_mask(scratched, ModelInput(12, 12, pose))
    assert 6 < mask.sum() < 40
    assert not read_mask(good, ModelInput(12, 12)).any()


def test_figures_of_thin_defects_and_a_count_of_masks_that_mark_nothing(tmp_path: Path) -> None:
    samples = labelled_samples(str(write_line(tmp_path / "thin")))
    maps = np.stack([read_mask(sample, ModelInput(48, 48)).astype(np.float32) for sample in samples])
    assert localisation_metrics(samples, maps, NETWORK) == {
        "pixel_auroc": 1.0,
        "aupro": pytest.approx(1),
        "masks_vanished": 0,
    }
    samples = labelled_samples(str(write_line(tmp_path / "empty", marked=False)))
    assert localisation_metrics(samples, maps, NETWORK) == {"pixel_auroc": None, "aupro": None, "masks_vanished": 1}


def cut_short(mask: Path) -> None:
    mask.write_bytes(mask.read_bytes()[:-20])


def make_pipe(mask: Path) -> None:
    mask.unlink()
    os.mkfifo(mask)


def link_to_nothing(mask: Path) -> None:
    mask.unlink()
    mask.symlink_to("absent.png")


@pytest.mark.parametrize("spoil", [cut_short, make_pipe, link_to_nothing])
def test_a_mask_that_cannot_be_read_is_named_and_left_out(
    spoil: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_line(tmp_path)
    for name in ("1.png", "1_mask.png"):
        folder = root / ("ground_truth" if "mask" in name else "test") / "scratch"
        (folder / name).write_bytes((folder / name.replace("1", "0")).read_bytes() + b"another")
    damaged = root / "ground_truth" / "scratch" / "1_mask.png"
    spoil(damaged)
    samples = labelled_samples(str(root))
    whole = read_mask(samples[1], ModelInput(48, 48)).astype(np.float32)
    metrics = localisation_metrics(samples, np.stack([whole * 0, whole, whole]), NETWORK)
    assert metrics == {"pixel_auroc": 1.0, "aupro": pytest.approx(1), "masks_vanished": 1}
    assert str(damaged) in capsys.readouterr().err
