"""The command `train-model init`: what it takes, and what it calls the training."""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.config import load_settings
from core.errors import ConfigError, DataError
from core.thresholds import parts_needed
from tests.core.pictures.test_upright import bar
from tests.pictures import remark_good, write_picture
from training.cli import train_model
from training.settings import TrainingSettings

Init = Callable[..., tuple[int, str]]
"""Runs the command with folders in `tmp_path`; its exit code, and what it says."""


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Init:
    def run(*folders: Path | str) -> tuple[int, str]:
        (tmp_path / "a.yaml").unlink(missing_ok=True)
        arguments = ["init", *map(str, folders), "--output", str(tmp_path / "a.yaml")]
        monkeypatch.setattr(sys, "argv", ["train-model", *arguments])
        with pytest.raises(SystemExit) as end:
            train_model()
        return int(end.value.code or 0), "".join(capsys.readouterr())

    return run


def written(tmp_path: Path) -> TrainingSettings:
    return load_settings(tmp_path / "a.yaml", TrainingSettings)


def words(tmp_path: Path) -> str:
    return (tmp_path / "a.yaml").read_text(encoding="utf-8").replace("\n# ", " ")


def sheets(folder: Path, first: int = 0, count: int = 12) -> Path:
    """Pictures of sheets of metal, which fill them."""
    folder.mkdir(parents=True)
    for seed in range(first, first + count):
        cv2.imwrite(str(folder / f"{seed:03}.png"), sheet(seed))
    return folder


def sheet(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(120, 20, (96, 96)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("Deckel für Ölpumpe", "Deckel-fur-Olpumpe"),
        ("Fußplatte GROẞ", "Fussplatte-GROSS"),
        ("Łożysko ø12 kærne", "Lozysko-o12-kaerne"),
        ("Þræðing_đ—ħ", "Thraeding_d-h"),
        ("nut №5 деталь, 2nd", "nut-No5-2nd"),
        ("деталь", "my-part"),
        ("bolt M8/train/good", "bolt-M8"),
        ("bolt M8/OK", "bolt-M8"),
    ],
)
def test_a_folders_name_is_kept_in_plain_letters(folder: str, name: str, tmp_path: Path, init: Init) -> None:
    assert init(sheets(tmp_path / folder))[0] == 0
    assert (written(tmp_path).name, written(tmp_path).output) == (name, f"runs/{name}")


def test_a_link_to_itself_is_no_folder(tmp_path: Path, init: Init) -> None:
    (tmp_path / "ring").symlink_to("ring")
    code, said = init(tmp_path / "ring")
    assert (code, said.startswith(f"error: {tmp_path}/ring: no such folder")) == (DataError.exit_code, True), said


@pytest.mark.parametrize("again", ["plates", "./plates", "{}/plates", "link", "plates/monday"])
def test_a_folder_that_is_given_twice_counts_once_and_is_told(
    again: str, tmp_path: Path, init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sheets(Path("plates/monday"))
    Path("link").symlink_to("plates")
    code, told = init("plates", again.format(tmp_path))
    assert (code, "counted once: 12 of 24 good pictures are there twice" in told) == (0, True)
    assert ("12 good pictures of" in words(tmp_path), "more than once" in words(tmp_path)) == (True, False)


def test_the_fast_form_has_a_name_of_its_own_and_so_an_output(
    tmp_path: Path, init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets(tmp_path / "nuts")
    assert init(tmp_path / "nuts", "--fast")[0] == 0
    assert (written(tmp_path).name, written(tmp_path).output) == ("nuts-fast", "runs/nuts-fast")
    monkeypatch.chdir(tmp_path)
    for options in ([], ["--fast"]):
        monkeypatch.setattr(sys, "argv", ["train-model", "init", "nuts", *options])
        with pytest.raises(SystemExit) as end:
            train_model()
        assert not end.value.code
    assert [Path(name).exists() for name in ("nuts.yaml", "nuts-fast.yaml")] == [True, True]
    # Of several folders the file gives the name, and each form has a file of its own already.
    sheets(tmp_path / "more", first=20)
    init("nuts", "more", "--fast")
    assert written(tmp_path).name == "a"


def test_each_region_of_a_picture_has_a_model_with_a_name_and_an_output_of_its_own(tmp_path: Path, init: Init) -> None:
    sheets(tmp_path / "film")
    assert init(tmp_path / "film", "--roi", "0", "0", "90", "80")[0] == 0
    assert (written(tmp_path).name, written(tmp_path).output) == ("a", "runs/a")


def test_an_output_that_cannot_be_written_is_told_before_any_picture_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    looked_at: list[object] = []
    monkeypatch.setattr("training.looking.survey.survey", lambda *data: looked_at.append(data))
    monkeypatch.setattr(
        sys, "argv", ["train-model", "init", str(sheets(tmp_path / "nuts")), "--output", f"{tmp_path}/file/a.yaml"]
    )
    with pytest.raises(SystemExit) as end:
        train_model()
    assert (end.value.code, looked_at) == (ConfigError.exit_code, [])
    assert capsys.readouterr().err == f"error: {tmp_path}/file: is a file; name a folder.\n"


@pytest.mark.parametrize(("pictures", "least"), [(30, "0.036"), (12, None)])
def test_the_rate_that_is_the_users_to_set_is_named_with_what_so_many_pictures_allow(
    pictures: int, least: str | None, tmp_path: Path, init: Init
) -> None:
    assert init(sheets(tmp_path / "nuts", count=pictures))[0] == 0
    if least:
        assert "is yours to set: `false_reject_rate: 0.05` is the default" in words(tmp_path)
        assert f"so many pictures can promise {least} or more" in words(tmp_path)
        assert parts_needed(float(least)) == 27, "three of thirty may stand apart"
    else:
        assert "yours to set" not in words(tmp_path), "it is set there, with the reason"
        assert written(tmp_path).false_reject_rate > 0.05


def test_pictures_that_a_model_cut_out_are_not_cut_again_by_the_region_of_the_others(
    tmp_path: Path, init: Init
) -> None:
    """As `run-inspection evidence export --marked` writes them: smaller than the region of the camera's picture."""
    for number in range(12):
        write_picture(tmp_path / "bars" / f"{number:02}.png", bar(float(30 * number), True))
        write_picture(tmp_path / "marked" / "train" / "good" / f"{number:02}.png", sheet(number)[:60, :90])
    remark_good(tmp_path / "marked", *(f"train/good/{number:02}.png" for number in range(12)))
    code, told = init(tmp_path / "bars", tmp_path / "marked", "--roi", "5", "5", "240", "240")
    assert (code, "a.png" in told) == (0, True)
    assert written(tmp_path).network.roi == (5, 5, 240, 240)
