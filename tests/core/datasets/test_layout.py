from pathlib import Path

import pytest

from core.datasets.dataset import folders, folders_told, labelled_samples, training_samples
from core.datasets.layout import require_apart
from core.errors import ConfigError, DataError


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    ("good", "defective", "where"),
    [
        ("good/a.png", "scratch/b.png", "scratch: lies next to a folder `good`"),  # `data/test` for `data`
        ("part-7/train/good/a.png", "part-7/test/scratch/b.png", "part-7/test: pictures to test with"),
        ("a.png", "deep/down/Ground_Truth/b.png", "down/Ground_Truth: pictures to test with"),
        ("Good/a.png", "NOK/b.png", "NOK: lies next to a folder `Good`"),
        ("goods/a.png", "bads/b.png", "bads: lies next to a folder `goods`"),
        ("OK/a.png", "kratzer/b.png", "kratzer: lies next to a folder `OK`"),
        ("a.png", "monday/NG/b.png", "NG: has a name for defective parts"),
    ],
)
def test_defective_parts_are_never_taken_for_good_ones(tmp_path: Path, good: str, defective: str, where: str) -> None:
    root = make(tmp_path, good, defective)
    with pytest.raises(DataError, match=where):
        training_samples(str(root))


def test_nor_are_they_tested_as_good_ones(tmp_path: Path) -> None:
    root = make(tmp_path, "part-7/test/good/a.png", "part-7/test/scratch/b.png")
    with pytest.raises(DataError, match="part-7/test: pictures to test with"):
        labelled_samples(str(root))


@pytest.mark.parametrize("folder", ["part-7/test/scratch", "part-7/test/scratch/monday", "part-7/NG"])
def test_nor_is_a_folder_of_them_that_is_given_itself(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path, "part-7/test/good/a.png", f"{folder}/b.png") / folder
    for listed in (training_samples, labelled_samples):
        with pytest.raises(DataError, match=f"{folder}: defective parts by its name or place"):
            listed(str(root))
    monkeypatch.chdir(root)
    with pytest.raises(DataError, match="defective parts by its name or place"):
        training_samples(".")
    assert training_samples(str(tmp_path / "part-7/test/good"))


def test_a_plain_folder_may_lie_in_one_called_test(tmp_path: Path) -> None:
    assert training_samples(str(make(tmp_path, "test/my-part/a.png") / "test/my-part"))


def test_good_parts_may_lie_in_folders_of_any_other_name(tmp_path: Path) -> None:
    root = make(tmp_path, "monday/a.png", "tuesday/b.png", "tuesday/late/c.png")
    samples = training_samples(str(root))
    assert len(samples) == len(labelled_samples(str(root))) == 3
    assert folders_told(samples) == f"{root}/monday (1), {root}/tuesday (1), {root}/tuesday/late (1)"
    assert folders_told(samples, 1) == f"{root}/monday (1) and 2 more folders"


def test_what_would_be_read_as_a_picture_is_not_written_there(tmp_path: Path) -> None:
    mvtec, plain = make(tmp_path / "mvtec", "train/good/a.png", "test/good/b.png"), make(tmp_path / "plain", "a.png")
    (tmp_path / "link").symlink_to(plain)
    read = folders([str(mvtec), str(plain), "elpv:mono"])
    for output in (mvtec / "train" / "good", mvtec / "test" / "run", plain, tmp_path / "link" / "run"):
        with pytest.raises(ConfigError, match="would be taken for one of its pictures"):
            require_apart(output, read)
    for output in (mvtec / "runs", tmp_path / "plainer", tmp_path):
        require_apart(output, read)


def test_nor_is_what_a_link_in_a_folder_of_pictures_leads_to(tmp_path: Path) -> None:
    plain = make(tmp_path / "plain", "mon/a.png")
    make(tmp_path / "shared", "b.png")
    (plain / "mon" / "link").symlink_to(tmp_path / "shared")
    (tmp_path / "shared" / "round").symlink_to(plain)
    (tmp_path / "shared" / "itself").symlink_to("itself")
    (tmp_path / "shared" / "further").symlink_to(make(tmp_path / "further", "c.png"))
    for output, link in ((tmp_path / "shared" / "run", "mon/link"), (tmp_path / "further" / "run", "mon/link/further")):
        with pytest.raises(ConfigError, match=f"lies in {plain / link}, and what is written there"):
            require_apart(output, [plain])
    require_apart(tmp_path / "runs", [plain, tmp_path / "nowhere"])
