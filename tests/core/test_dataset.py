import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.dataset import (
    Sample,
    counts,
    distinct,
    folders,
    labelled_samples,
    read_frames,
    read_mask,
    training_samples,
)
from core.errors import ConfigError, DataError
from core.geometry import ModelInput, Pose
from core.remarks import Remark, Truth, save_remarks
from tests.pictures import write_parts


def test_mvtec_layout_gives_kinds_and_masks(parts: Path) -> None:
    assert len(training_samples(str(parts))) == 40
    samples = labelled_samples(str(parts))
    assert [s.kind for s in samples].count("good") == 12
    scratched = [s for s in samples if s.kind == "scratch"]
    assert len(scratched) == 8
    for sample in samples:
        assert read_mask(sample, ModelInput(48, 48)).any() == (sample.kind == "scratch")


def test_a_plain_folder_is_all_good(parts: Path) -> None:
    assert len(training_samples(str(parts / "train" / "good"))) == 40
    assert {s.kind for s in labelled_samples(str(parts / "train" / "good"))} == {"good"}


def test_several_folders_are_one_data_set_in_their_order(parts: Path, tmp_path: Path) -> None:
    marked = write_parts(tmp_path / "marked", train=3, good=2, defective=1)
    plain = marked / "test" / "good"
    data = (str(parts), str(marked), str(plain))
    assert training_samples(data) == [sample for one in data for sample in training_samples(one)]
    for picture in marked.glob("test/*/*.png"):  # which are drawn as those of `parts` are
        picture.write_bytes(picture.read_bytes() + b"\0")
    kinds = [sample.kind for sample in labelled_samples(data[:2])]
    assert (kinds.count("good"), kinds.count("scratch")) == (14, 9)
    with pytest.raises(DataError, match="absent"):
        training_samples([str(parts), str(tmp_path / "absent")])


def test_pictures_are_counted_by_the_first_folder_that_showed_them(tmp_path: Path) -> None:
    parts = write_parts(tmp_path / "parts")
    marked = write_parts(tmp_path / "marked", train=42)  # forty of them show what those of `parts` do
    data = [str(parts), str(marked), str(marked / "train" / "good")]
    kept = distinct(read_frames(training_samples(data), ModelInput(24, 24))).samples
    assert counts(data, kept) == {data[0]: 40, data[1]: 2, data[2]: 0}
    for sample in kept[39:]:  # somebody tidies up while it trains
        sample.path.unlink()
    assert counts(data, kept) == {data[0]: 40, data[1]: 2, data[2]: 0}


def test_a_picture_that_several_names_lead_to_is_tested_once_and_as_one_kind(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "again").symlink_to(parts, target_is_directory=True)
    once = labelled_samples(str(parts))
    assert labelled_samples((str(parts), str(tmp_path / "again"), f"{parts}/../{parts.name}/test")) == once
    assert "counted once: 40 of 60 pictures are there twice" in capsys.readouterr().err
    test = Path(shutil.copytree(parts / "test", tmp_path / "data" / "test"))
    (test / "good" / "linked.png").symlink_to(test / "good" / "000.png")
    assert labelled_samples(str(tmp_path / "data")) == [
        Sample(test / one.kind / one.path.name, one.kind) for one in once
    ]
    assert "counted once: 1 of 21" in capsys.readouterr().err
    (test / "good" / "hard.png").hardlink_to(test / "good" / "000.png")
    shutil.copy(test / "scratch" / "000.png", test / "scratch" / "copy.png")
    assert len(labelled_samples(str(tmp_path / "data"))) == 20
    assert "counted once: 3 of 23 pictures are there twice, by links, as copies or by" in capsys.readouterr().err
    shutil.copy(test / "scratch" / "000.png", test / "good" / "mistaken.png")
    with pytest.raises(DataError, match=r"scratch/000.png: is listed as `good` \(.*mistaken.png\) and as `scratch`"):
        labelled_samples(str(tmp_path / "data"))
    with pytest.raises(DataError, match=r"000.png: is listed as `scratch` \(.*000.png\) and as `good`"):
        labelled_samples((str(parts), str(shutil.copytree(parts / "test" / "scratch", tmp_path / "fine"))))


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        training_samples(str(tmp_path / "absent"))
    (tmp_path / "train" / "fine").mkdir(parents=True)
    with pytest.raises(DataError, match="train/good"):
        training_samples(str(tmp_path))


def test_links_are_followed_and_what_a_copy_made_of_one_is_refused(parts: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(parts, tmp_path / "copy"))
    (copy / "test" / "scratch").rename(tmp_path / "elsewhere")
    (copy / "test" / "scratch").symlink_to("../../elsewhere")
    assert [sample.kind for sample in labelled_samples(str(copy))].count("scratch") == 8
    (copy / "test" / "scratch").unlink()
    (copy / "test" / "scratch").write_text("../../elsewhere\n")
    with pytest.raises(DataError, match=r"scratch: is a link to \.\./\.\./elsewhere"):
        labelled_samples(str(copy))
    (copy / "test" / "scratch").unlink()
    shutil.copy(next((copy / "test" / "good").iterdir()), copy / "test" / "stray.png")
    with pytest.raises(DataError, match=r"stray\.png: of which kind is it"):
        labelled_samples(str(copy))


def test_test_pictures_without_a_kind_are_refused(parts: Path, tmp_path: Path) -> None:
    """Each would be a kind of defect of its own, the good ones among them too."""
    shutil.copytree(parts / "train", tmp_path / "train")
    shutil.copytree(parts / "test" / "good", tmp_path / "test")
    with pytest.raises(DataError, match=r"test/\S+\.png: of which kind is it\? Put it into test/good"):
        labelled_samples(str(tmp_path))


@pytest.mark.parametrize("read", [training_samples, labelled_samples, folders])
def test_a_home_folder_that_is_not_there_is_told(read: Callable[[str], object]) -> None:
    with pytest.raises(DataError, match="~nobody-here/parts: there is no such home folder"):
        read("~nobody-here/parts")


def test_the_elpv_split_is_the_fixed_one() -> None:
    for cell_type, train, good, defective in (("mono", 412, 176, 313), ("poly", 644, 276, 402)):
        data = f"elpv:{cell_type}"
        assert len(training_samples(data)) == train
        kinds = [s.kind for s in labelled_samples(data)]
        assert (kinds.count("good"), kinds.count("defective")) == (good, defective)
        assert not {s.path for s in training_samples(data)} & {s.path for s in labelled_samples(data)}
    with pytest.raises(DataError, match="elpv:mono or elpv:poly"):
        training_samples("elpv:duo")


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


def write_picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def test_a_linked_kind_of_defect_is_tested_too(tmp_path: Path) -> None:
    bright = np.full((12, 12, 3), 200, np.uint8)
    write_picture(tmp_path / "data" / "test" / "good" / "a.png", bright)
    write_picture(tmp_path / "archive" / "dents" / "b.png", bright // 2)
    (tmp_path / "data" / "test" / "dent").symlink_to(tmp_path / "archive" / "dents", target_is_directory=True)
    assert sorted(sample.kind for sample in labelled_samples(str(tmp_path / "data"))) == ["dent", "good"]


@pytest.mark.parametrize(("folder", "read"), [("test/GOOD", labelled_samples), ("Train/good", training_samples)])
def test_folders_in_capitals_are_refused(tmp_path: Path, folder: str, read: Callable[[str], object]) -> None:
    write_picture(tmp_path / folder / "a.png", np.full((12, 12, 3), 200, np.uint8))
    with pytest.raises(DataError, match="lower-case names"):
        read(str(tmp_path))


@pytest.mark.parametrize("drawn", [1, 3, 255])
def test_a_mask_marks_whatever_number_its_defect_has(tmp_path: Path, drawn: int) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 4:9] = drawn
    write_picture(tmp_path / "a_mask.png", mask)
    marked = read_mask(Sample(tmp_path / "a.png", "dent", tmp_path / "a_mask.png"), ModelInput(40, 40))
    assert np.array_equal(marked, mask > 0)


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
    assert read_mask(samples[0], ModelInput(10, 10, roi=(0, 0, 20, 20))).all()
    assert not read_mask(samples[0], ModelInput(10, 10, roi=(20, 0, 20, 20))).any()


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
    seen = ModelInput(20, 20, bits=12)
    assert (
        read_frames(training_samples(str(tmp_path / "low")), seen).bgr_u8[0, :, :, 0] == grey.astype(int) * 255 // 4095
    ).all()
    assert capsys.readouterr().err == ""
    with pytest.raises(DataError, match="none of 2 pictures"):
        read_frames(training_samples(str(tmp_path / "full")), seen)
    assert "take more than 12 bits (`network.bits`)" in capsys.readouterr().err


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


def remark(folder: Path, *names: str) -> None:
    said = Remark(was=Truth.GOOD, by="Ada", note="", time="", event_id="1", verdict="NotOK", is_cut=True)
    save_remarks(folder, dict.fromkeys(names, said))


def test_what_a_model_cut_is_not_cut_again_and_another_models_cut_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train/good").mkdir(parents=True)
    names = [f"train/good/{number}.png" for number in range(2)]
    for name in names:
        assert cv2.imwrite(str(tmp_path / name), np.full((30, 60, 3), 100, np.uint8))
    remark(tmp_path, *names)
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


@pytest.mark.parametrize("kind", ["train/good", "test/good", "test/bad"])
def test_what_was_marked_stays_so_where_another_folder_leads_to_it_too(kind: str, tmp_path: Path) -> None:
    marked, read = tmp_path / "marked", training_samples if kind == "train/good" else labelled_samples
    write_picture(marked / kind / "a.png", np.full((30, 60, 3), 100, np.uint8))
    remark(marked, f"{kind}/a.png")
    (tmp_path / "all" / kind).parent.mkdir(parents=True)
    (tmp_path / "all" / kind).symlink_to(marked / kind)
    for data in ((f"{tmp_path}/all", str(marked)), (str(marked), f"{tmp_path}/all")):
        [sample] = read(data)
        assert sample.path == marked / kind / "a.png"
        assert (sample.kind, sample.is_marked, sample.is_cut) == (Path(kind).name, True, True)


def test_of_a_picture_that_is_marked_here_and_has_its_mask_there_both_are_kept(tmp_path: Path) -> None:
    picture = np.full((30, 60, 3), 100, np.uint8)
    for place in ("all/test/bad/a.png", "all/ground_truth/bad/a_mask.png", "marked/test/bad/a.png"):
        write_picture(tmp_path / place, picture)
    remark(tmp_path / "marked", "test/bad/a.png")
    both = Sample(tmp_path / "marked/test/bad/a.png", "bad", tmp_path / "all/ground_truth/bad/a_mask.png", True, True)
    for data in (f"{tmp_path}/all", f"{tmp_path}/marked"), (f"{tmp_path}/marked", f"{tmp_path}/all"):
        assert labelled_samples(data) == [both]


def test_a_mask_of_what_a_model_cut_is_not_cut_again(tmp_path: Path) -> None:
    mask = np.zeros((20, 40, 3), np.uint8)
    mask[5:9, 25:30] = 255
    write_picture(tmp_path / "mask.png", mask)
    sample = Sample(tmp_path / "a.png", "bad", tmp_path / "mask.png", is_cut=True)
    for seen in (ModelInput(20, 40, roi=(20, 0, 40, 20)), ModelInput(20, 40, pose=Pose((40, 20)))):
        assert np.array_equal(read_mask(sample, seen), mask[:, :, 0] > 0)


def test_of_pictures_that_show_the_same_the_marked_one_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = [Sample(tmp_path / "a.png"), Sample(tmp_path / "b.png", is_marked=True)]
    for sample in listed:
        write_picture(sample.path, np.full((12, 12, 3), 100, np.uint8))
    frames = distinct(read_frames(listed, ModelInput(12, 12)))
    assert (frames.samples, frames.skipped) == ((listed[1],), (listed[0].path,))
    assert f"1 of 2 pictures show what another one shows, such as {listed[0].path}" in capsys.readouterr().err
