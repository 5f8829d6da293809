from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.datasets.dataset import Sample, training_samples
from core.datasets.frames import distinct, read_frames, read_mask
from core.errors import ConfigError, DataError
from core.pictures.geometry import ModelInput, Pose
from tests.pictures import remark_good, write_picture


def test_frames_have_the_models_size_and_a_fingerprint(parts: Path) -> None:
    samples = training_samples(str(parts))[:4]
    frames = read_frames(samples, ModelInput(24, 36))
    assert frames.bgr_u8.shape == (4, 24, 36, 3)
    assert frames.fingerprint() == read_frames(samples, ModelInput(24, 36)).fingerprint()
    assert frames.fingerprint() != read_frames(samples[::-1], ModelInput(24, 36)).fingerprint()


def test_no_readable_picture_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"junk")
    with pytest.raises(DataError, match=f"none of 1 pictures can be read; the first: {tmp_path}/a.png: not a whole"):
        read_frames(training_samples(str(tmp_path)), ModelInput(8, 8))


@pytest.mark.parametrize("drawn", [1, 3, 255])
def test_a_mask_marks_whatever_number_its_defect_has(tmp_path: Path, drawn: int) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 4:9] = drawn
    write_picture(tmp_path / "a.png", mask)
    write_picture(tmp_path / "a_mask.png", mask)
    marked = read_mask(Sample(tmp_path / "a.png", "dent", tmp_path / "a_mask.png"), ModelInput(40, 40)).marked
    assert np.array_equal(marked, mask > 0)


def test_a_mask_marks_in_any_colour_and_at_any_depth(tmp_path: Path) -> None:
    marked = np.zeros((40, 40), bool)
    marked[10:20, 4:9] = True
    red = np.zeros((40, 40, 3), np.uint8)
    red[marked] = (0, 0, 255)
    opaque = np.dstack([red, np.full((40, 40), 255, np.uint8)])
    masks: list[NDArray[np.uint8] | NDArray[np.uint16]] = [red, opaque]
    masks += [(marked * brightest).astype(np.uint16) for brightest in (1, 4095, 65535)]
    write_picture(tmp_path / "a.png", red)
    for number, mask in enumerate(masks):
        write_picture(tmp_path / f"{number}.png", mask)
        sample = Sample(tmp_path / "a.png", "dent", tmp_path / f"{number}.png")
        assert np.array_equal(read_mask(sample, ModelInput(40, 40)).marked, marked), number


@pytest.mark.parametrize("seen", [ModelInput(20, 20, roi=(0, 0, 20, 20)), ModelInput(20, 40, pose=Pose((20, 10)))])
def test_a_mask_at_another_size_than_its_picture_s_is_refused_where_a_region_is_cut_out(
    tmp_path: Path, seen: ModelInput
) -> None:
    picture = np.full((80, 80, 3), 200, np.uint8)
    picture[30:50, 20:60] = 20
    write_picture(tmp_path / "a.png", picture)
    write_picture(tmp_path / "mask.png", np.full((40, 40), 255, np.uint8))
    sample = Sample(tmp_path / "a.png", "dent", tmp_path / "mask.png")
    with pytest.raises(DataError, match=f"{tmp_path}/mask.png: is 40 x 40 pixels, and its picture 80 x 80; draw it"):
        read_mask(sample, seen)
    assert read_mask(sample, ModelInput(20, 20)).marked.all()


@pytest.mark.parametrize(
    ("shape", "belongs"), [((30, 50), True), ((17, 28), True), ((30, 45), False), ((50, 30), False)]
)
def test_a_mask_of_another_shape_than_its_picture_s_is_refused(
    tmp_path: Path, shape: tuple[int, int], belongs: bool
) -> None:
    write_picture(tmp_path / "a.png", np.full((60, 100, 3), 200, np.uint8))
    write_picture(tmp_path / "mask.png", np.full(shape, 255, np.uint8))
    with nullcontext() if belongs else pytest.raises(DataError, match="mask.png: is .* its picture 100 x 60; draw it"):
        assert read_mask(Sample(tmp_path / "a.png", "dent", tmp_path / "mask.png"), ModelInput(20, 20)).marked.all()


def test_a_region_is_cut_out_of_pictures_and_masks_and_one_outside_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left_half = np.zeros((20, 40, 3), np.uint8)
    left_half[:, :20] = 200
    for name, picture in (("a.png", left_half), ("mask.png", left_half), ("small.png", left_half[:, :10])):
        write_picture(tmp_path / name, picture)
    samples = [Sample(tmp_path / "a.png", mask=tmp_path / "mask.png"), Sample(tmp_path / "small.png")]
    frames = read_frames(samples, ModelInput(10, 10, roi=(0, 0, 20, 20)))
    assert (frames.bgr_u8 == 200).all()
    assert frames.skipped == (tmp_path / "small.png",)
    told = capsys.readouterr().err
    assert f"skipped: {tmp_path / 'small.png'}: region (0, 0, 20, 20) (left, top, width, height) does not lie" in told
    assert read_mask(samples[0], ModelInput(10, 10, roi=(0, 0, 20, 20))).marked.all()
    assert not read_mask(samples[0], ModelInput(10, 10, roi=(20, 0, 20, 20))).marked.any()


def test_12_bits_in_16_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grey = np.random.default_rng(1).integers(300, 4096, (20, 20)).astype(np.uint16)
    for name in "ab":
        write_picture(tmp_path / "low" / f"{name}.png", grey)
        write_picture(tmp_path / "full" / f"{name}.png", grey * 16)
    read_frames(training_samples(str(tmp_path / "full")), ModelInput(8, 8))
    assert capsys.readouterr().err == ""
    read_frames(training_samples(str(tmp_path / "low")), ModelInput(8, 8))
    told = capsys.readouterr().err
    assert f"warning: the brightest of 2 16-bit pictures is {grey.max()} of 65535" in told
    assert "`network.bits: 12`" in told
    for name in "ab":  # a usual camera's bits are used, where only the brightest is missing
        write_picture(tmp_path / "bright" / f"{name}.png", np.minimum(grey * 6, 30000))
    read_frames(training_samples(str(tmp_path / "bright")), ModelInput(8, 8))
    assert capsys.readouterr().err == ""
    seen = ModelInput(20, 20, bits=12)
    assert (
        read_frames(training_samples(str(tmp_path / "low")), seen).bgr_u8[0, :, :, 0] == grey.astype(int) * 255 // 4095
    ).all()
    assert capsys.readouterr().err == ""
    with pytest.raises(DataError, match="none of 2 pictures"):
        read_frames(training_samples(str(tmp_path / "full")), seen)
    assert "take more than 12 bits (`network.bits`)" in capsys.readouterr().err


def test_pictures_of_a_shape_that_none_had_that_trained_are_warned_of_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (height, width) in {"a": (30, 40), "b": (60, 80), "c": (40, 40), "d": (18, 32), "e": (27, 48)}.items():
        write_picture(tmp_path / f"{name}.png", np.full((height, width, 3), 90, np.uint8))
    samples = training_samples(str(tmp_path))
    trained = read_frames(samples[:3], ModelInput(8, 8))
    assert trained.aspects == (1.0, 1.33)
    seen = ModelInput(8, 8, aspects=trained.aspects)
    read_frames(samples[:3], seen)
    assert capsys.readouterr().err == ""
    read_frames(samples, seen)
    told = capsys.readouterr().err
    assert told.count("warning: ") == 1
    assert "2 of 5 pictures are squeezed, such as" in told
    assert f"{samples[3].path} (1.78 times as wide as high, and what trained 1.33)" in told
    region = ModelInput(8, 8, roi=(0, 0, 20, 15))
    assert read_frames(samples, region).aspects == (1.33,), "the region that is judged"
    capsys.readouterr()
    read_frames(samples, replace(region, aspects=(1.33,)))
    assert capsys.readouterr().err == ""


def test_grey_pictures_for_a_model_that_trained_on_coloured_ones_are_warned_of_once_and_so_is_the_reverse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write_picture(tmp_path / "red" / f"{number}.png", np.full((30, 30, 3), (20, 30, 90 + number), np.uint8))
        write_picture(tmp_path / "grey" / f"{number}.png", np.full((30, 30, 3), 90 + number, np.uint8))
    red, grey = (training_samples(str(tmp_path / name)) for name in ("red", "grey"))
    for trained, other, told in ((red, grey, "grey, and what trained coloured"), (grey, red, "coloured, and what ")):
        seen = replace(ModelInput(8, 8), colours=read_frames(trained, ModelInput(8, 8)).colours)
        read_frames(trained, seen)
        assert capsys.readouterr().err == ""
        read_frames(trained + other, seen)
        (warning,) = capsys.readouterr().err.splitlines()
        assert warning.startswith("warning: 3 of 6 pictures differ in colour, such as")
        assert f"such as {other[0].path} ({told}" in warning


def test_a_damaged_picture_is_skipped_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(2).integers(0, 255, (90, 90, 3)).astype(np.uint8)
    for name in ("a.jpg", "b.jpg"):
        write_picture(tmp_path / name, noise)
    whole = (tmp_path / "b.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    assert read_frames(training_samples(str(tmp_path)), ModelInput(8, 8)).skipped == (tmp_path / "b.jpg",)
    assert "skipped: " in (said := capsys.readouterr().err)
    assert "b.jpg: not a whole picture (damaged JPEG" in said


def test_of_pictures_that_show_the_same_the_first_is_taken_and_the_others_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = np.arange(40 * 40 * 3, dtype=np.uint8).reshape(40, 40, 3)
    for name, content in (("a", picture), ("b", 255 - picture), ("c", picture), ("d", picture)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), content)
    frames = distinct(read_frames(training_samples(str(tmp_path)), ModelInput(20, 20)))
    assert [sample.path.name for sample in frames.samples] == ["a.png", "b.png"]
    assert [path.name for path in frames.skipped] == ["c.png", "d.png"]
    assert len(frames.bgr_u8) == 2
    assert "2 of 4 pictures show what another one shows, such as" in capsys.readouterr().err
    assert distinct(frames) is frames


def test_what_a_model_cut_is_not_cut_again_and_another_models_cut_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train/good").mkdir(parents=True)
    names = [f"train/good/{number}.png" for number in range(2)]
    for name in names:
        assert cv2.imwrite(str(tmp_path / name), np.full((30, 60, 3), 100, np.uint8))
    remark_good(tmp_path, *names)
    samples = training_samples(str(tmp_path))
    for cut_alike in (ModelInput(48, 96, pose=Pose((60, 30))), ModelInput(48, 96, roi=(7, 7, 60, 30))):
        assert (read_frames(samples, cut_alike).bgr_u8 == 100).all()
    for other, asked in (
        (ModelInput(48, 96, pose=Pose((62, 30))), "those of 62 x 30"),
        (ModelInput(48, 96, roi=(0, 0, 30, 30)), "those of 30 x 30"),
        (ModelInput(48, 96), "whole pictures"),
    ):
        with pytest.raises(ConfigError, match=f"cut-out of 60 x 30 pixels .* {asked} are asked for"):
            read_frames(samples, other)


def test_a_mask_of_what_a_model_cut_is_not_cut_again(tmp_path: Path) -> None:
    mask = np.zeros((20, 40, 3), np.uint8)
    mask[5:9, 25:30] = 255
    write_picture(tmp_path / "a.png", mask)
    write_picture(tmp_path / "mask.png", mask)
    sample = Sample(tmp_path / "a.png", "bad", tmp_path / "mask.png", is_cut=True)
    for seen in (ModelInput(20, 40, roi=(20, 0, 40, 20)), ModelInput(20, 40, pose=Pose((40, 20)))):
        assert np.array_equal(read_mask(sample, seen).marked, mask[:, :, 0] > 0)


def test_of_pictures_that_show_the_same_the_marked_one_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = [Sample(tmp_path / "a.png"), Sample(tmp_path / "b.png", is_marked=True)]
    for sample in listed:
        write_picture(sample.path, np.full((12, 12, 3), 100, np.uint8))
    frames = distinct(read_frames(listed, ModelInput(12, 12)))
    assert (frames.samples, frames.skipped) == ((listed[1],), (listed[0].path,))
    assert f"1 of 2 pictures show what another one shows, such as {listed[0].path}" in capsys.readouterr().err
