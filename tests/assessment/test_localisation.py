import os
import re
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from assessment.localisation import Pixels, localisation_metrics
from core.datasets.dataset import Sample, labelled_samples
from core.datasets.frames import read_mask
from core.pictures.geometry import ModelInput, Pose
from training.settings import NetworkSettings

NETWORK = NetworkSettings(height=48, width=48)


def squares() -> np.ndarray:
    masks = np.zeros((3, 40, 40), bool)
    masks[1, 5:10, 5:10] = True
    masks[1, 20:36, 20:36] = True
    return masks


def pixels(masks: np.ndarray, maps: np.ndarray) -> Pixels:
    counted = Pixels()
    for mask, error_map in zip(masks, maps, strict=True):
        counted.add(mask, error_map)
    return counted


def test_a_perfect_map_has_aupro_1_and_a_blind_one_what_chance_gives() -> None:
    masks = squares()
    assert pixels(masks, masks.astype(float)).aupro() == pytest.approx(1)
    noise = np.random.default_rng(0).random(masks.shape)
    by_chance = pytest.approx(0.15, abs=0.05)  # overlap = false-positive rate: 0.3^2 / 2 / 0.3
    assert pixels(masks, noise).aupro() == by_chance
    same_everywhere = pixels(masks, np.ones(masks.shape))
    assert same_everywhere.auroc() == 0.5
    assert same_everywhere.aupro() == by_chance


def test_small_regions_count_as_much_as_large_ones() -> None:
    masks = squares()
    only_large = masks.astype(float)
    only_large[1, 5:10, 5:10] = 0
    noise = np.random.default_rng(0).random(masks.shape) * 1e-3
    assert pixels(masks, only_large + noise).aupro() == pytest.approx(0.55, abs=0.1)


def test_both_figures_are_those_of_the_errors_as_they_are() -> None:
    rng = np.random.default_rng(0)
    masks = np.zeros((40, 64, 64), bool)
    for mask in masks[::2]:
        for top, left, height, width in rng.integers((0, 0, 1, 1), (48, 48, 16, 16), (3, 4)):
            mask[top : top + height, left : left + width] = True
    maps = np.stack([cv2.GaussianBlur(each, (0, 0), 3) for each in rng.normal(0.1, 1, masks.shape) + 0.4 * masks])
    found = pixels(masks, maps)
    assert found.auroc() == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-5)
    rates = np.linspace(0, 0.3, 3000)
    thresholds = np.quantile(maps[~masks], 1 - rates)
    overlaps = []
    for mask, error_map in zip(masks, maps, strict=True):
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        overlaps += [(error_map[labels == region, None] > thresholds).mean(axis=0) for region in range(1, count)]
    expected = np.trapezoid(np.mean(overlaps, axis=0), rates) / 0.3
    assert 0.2 < expected < 0.9
    assert found.aupro() == pytest.approx(expected, abs=1e-4)


def test_many_pictures_take_the_memory_of_few(tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    cv2.imwrite(str(mask), np.eye(216, dtype=np.uint8) * 255)

    def peak_bytes(count: int) -> int:
        maps = np.random.default_rng(0).random((count, 27, 27), np.float32)
        samples = [Sample(mask, "dent", mask) if i % 2 else Sample(mask) for i in range(count)]
        tracemalloc.start()
        localisation_metrics(samples, maps, NetworkSettings(height=216, width=216))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_bytes(60) < 1.1 * peak_bytes(10)


def test_masks_that_are_missing_are_told_and_black_ones_of_good_parts_hide_nothing(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((48, 48), np.uint8))
    samples = labelled_samples(str(parts))
    maps = np.random.default_rng(0).random((len(samples), 6, 6), np.float32)
    expected = localisation_metrics(samples, maps, NETWORK)
    with_black = [replace(one, mask=one.mask or black) for one in samples]
    assert localisation_metrics(with_black, maps, NETWORK) == expected
    assert capsys.readouterr().err == ""
    bare = next(one for one in samples if one.mask)
    localisation_metrics([replace(one, mask=None) if one is bare else one for one in samples], maps, NETWORK)
    told = f"skipped in localisation: 1 of 8 defective pictures have no mask, such as {bare.path}\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_all_or_nothing_is_marked_there_is_no_figure(share: float) -> None:
    maps = np.random.default_rng(0).random((2, 8, 8))
    found = pixels(np.full(maps.shape, share > 0), maps)
    assert (found.auroc(), found.aupro()) == (None, None)


def test_maps_that_mark_the_defects_score_high(parts: Path) -> None:
    samples = labelled_samples(str(parts))
    masks = np.stack([read_mask(sample, ModelInput(12, 12)).marked for sample in samples]).astype(np.float32)
    noise = np.random.default_rng(0).random(masks.shape).astype(np.float32)
    metrics = localisation_metrics(samples, masks + 0.1 * noise, NETWORK)
    assert metrics["pixel_auroc"] is not None
    assert metrics["pixel_auroc"] > 0.9
    assert metrics["aupro"] is not None
    assert metrics["aupro"] > 0.7


def test_without_masks_there_is_nothing_to_measure(parts: Path) -> None:
    samples = labelled_samples(str(parts / "test" / "good"))
    maps = np.zeros((len(samples), 4, 4), np.float32)
    assert localisation_metrics(samples, maps, NETWORK) == {
        "pixel_auroc": None,
        "aupro": None,
        "masks_vanished": 0,
        "masks_cut_away": 0,
    }


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
    mask = read_mask(scratched, ModelInput(12, 12, pose)).marked
    assert 6 < mask.sum() < 40
    assert not read_mask(good, ModelInput(12, 12)).marked.any()


def test_figures_of_thin_defects_and_a_count_of_masks_that_mark_nothing(tmp_path: Path) -> None:
    samples = labelled_samples(str(write_line(tmp_path / "thin")))
    maps = np.stack([read_mask(sample, ModelInput(48, 48)).marked.astype(np.float32) for sample in samples])
    assert localisation_metrics(samples, maps, NETWORK) == {
        "pixel_auroc": 1.0,
        "aupro": pytest.approx(1),
        "masks_vanished": 0,
        "masks_cut_away": 0,
    }
    samples = labelled_samples(str(write_line(tmp_path / "empty", marked=False)))
    assert localisation_metrics(samples, maps, NETWORK)["masks_vanished"] == 1


@pytest.mark.parametrize(("left", "cut_away"), [(0, 0), (300, 0), (400, 1), (650, 1)])
def test_a_defect_that_is_mostly_outside_of_what_is_cut_out_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], left: int, cut_away: int
) -> None:
    """It reaches from 100 to 600 of 700 pixels."""
    samples = labelled_samples(str(write_line(tmp_path)))
    network = NetworkSettings(height=48, width=48, roi=(left, 0, 700 - left, 700))
    metrics = localisation_metrics(samples, np.zeros((2, 48, 48), np.float32), network)
    assert metrics["masks_cut_away"] == cut_away
    told = f"warning: of 1 of 1 defects most lies outside of what `network.roi` cuts out, .* {tmp_path}/test/scratch/0"
    assert bool(re.match(told, capsys.readouterr().err)) == bool(cut_away)


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
    whole = read_mask(samples[1], ModelInput(48, 48)).marked.astype(np.float32)
    metrics = localisation_metrics(samples, np.stack([whole * 0, whole, whole]), NETWORK)
    assert metrics == {"pixel_auroc": 1.0, "aupro": pytest.approx(1), "masks_vanished": 1, "masks_cut_away": 0}
    assert str(damaged) in capsys.readouterr().err


def test_a_good_picture_whose_mask_cannot_be_read_is_left_out_as_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_line(tmp_path)
    mask = root / "ground_truth" / "good" / "0_mask.png"
    mask.parent.mkdir()
    mask.write_bytes(b"no picture")
    samples = labelled_samples(str(root))
    whole = read_mask(samples[1], ModelInput(48, 48)).marked.astype(np.float32)
    metrics = localisation_metrics(samples, np.stack([whole * 0 + 9, whole]), NETWORK)
    assert metrics == {"pixel_auroc": 1.0, "aupro": pytest.approx(1), "masks_vanished": 0, "masks_cut_away": 0}
    assert f"skipped in localisation: {mask}" in capsys.readouterr().err
