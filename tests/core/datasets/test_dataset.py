import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.datasets.dataset import Sample, counts, folders, labelled_samples, training_samples
from core.datasets.frames import distinct, read_frames, read_mask
from core.errors import DataError
from core.pictures.geometry import ModelInput
from tests.pictures import remark_good, write_parts, write_picture


def test_mvtec_layout_gives_kinds_and_masks(parts: Path) -> None:
    assert len(training_samples(str(parts))) == 40
    samples = labelled_samples(str(parts))
    assert [s.kind for s in samples].count("good") == 12
    scratched = [s for s in samples if s.kind == "scratch"]
    assert len(scratched) == 8
    for sample in samples:
        assert read_mask(sample, ModelInput(48, 48)).marked.any() == (sample.kind == "scratch")


def test_pictures_in_folders_below_a_kind_s_have_masks_of_their_own(tmp_path: Path) -> None:
    for grey, folder in enumerate(("good", "dent/left", "dent/right", "dent/none")):
        write_picture(tmp_path / "test" / folder / "0.png", np.full((8, 8), grey, np.uint8))
    for place in ("dent/left/0_mask.png", "dent/right/0_mask.png", "dent/0_mask.png"):
        write_picture(tmp_path / "ground_truth" / place, np.full((8, 8), 255, np.uint8))
    found = {sample.path.parent.name: sample.mask for sample in labelled_samples(str(tmp_path))}
    below = tmp_path / "ground_truth/dent"
    assert found == {
        "good": None,
        "left": below / "left/0_mask.png",
        "right": below / "right/0_mask.png",
        "none": None,
    }


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


@pytest.mark.parametrize("kind", [".", "good", "scratch"])
def test_a_folder_to_test_with_that_holds_no_picture_says_what_to_do(tmp_path: Path, kind: str) -> None:
    (tmp_path / "test" / kind).mkdir(parents=True)
    with pytest.raises(DataError, match=r"test: no pictures in it .*; remove it, or put pictures into test/good and"):
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


@pytest.mark.parametrize("kind", ["train/good", "test/good", "test/bad"])
def test_what_was_marked_stays_so_where_another_folder_leads_to_it_too(kind: str, tmp_path: Path) -> None:
    marked, read = tmp_path / "marked", training_samples if kind == "train/good" else labelled_samples
    write_picture(marked / kind / "a.png", np.full((30, 60, 3), 100, np.uint8))
    remark_good(marked, f"{kind}/a.png")
    (tmp_path / "all" / kind).parent.mkdir(parents=True)
    (tmp_path / "all" / kind).symlink_to(marked / kind)
    for data in ((f"{tmp_path}/all", str(marked)), (str(marked), f"{tmp_path}/all")):
        [sample] = read(data)
        assert sample.path.samefile(marked / kind / "a.png")
        assert (sample.kind, sample.is_marked, sample.is_cut) == (Path(kind).name, True, True)


@pytest.mark.parametrize("named", ["of a line/marked", "of a line/marked/train/good", "of a line", "link"])
def test_what_was_marked_stays_so_whichever_of_its_folders_is_named(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked = tmp_path / "of a line/marked"
    write_picture(marked / "train/good/a.png", np.full((30, 60, 3), 100, np.uint8))
    remark_good(marked, "train/good/a.png")
    (tmp_path / "link").symlink_to(marked / "train/good")
    monkeypatch.chdir(tmp_path)
    for data in (named, f"{tmp_path}/{named}"):
        samples = training_samples(data)
        if named != "of a line/marked":
            samples += labelled_samples(data)
        assert {(sample.is_marked, sample.is_cut) for sample in samples} == {(True, True)}


def test_of_a_picture_that_is_marked_here_and_has_its_mask_there_both_are_kept(tmp_path: Path) -> None:
    picture = np.full((30, 60, 3), 100, np.uint8)
    for place in ("all/test/bad/a.png", "all/ground_truth/bad/a_mask.png", "marked/test/bad/a.png"):
        write_picture(tmp_path / place, picture)
    remark_good(tmp_path / "marked", "test/bad/a.png")
    both = Sample(tmp_path / "marked/test/bad/a.png", "bad", tmp_path / "all/ground_truth/bad/a_mask.png", True, True)
    for data in (f"{tmp_path}/all", f"{tmp_path}/marked"), (f"{tmp_path}/marked", f"{tmp_path}/all"):
        assert labelled_samples(data) == [both]
