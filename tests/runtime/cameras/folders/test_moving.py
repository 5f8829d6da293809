"""Moving a judged picture: none takes another's place, and a kill in between leaves it in one place."""

import errno
import os
from pathlib import Path

import pytest

from runtime.cameras.folders.moving import move

WHEN_NS = 1_800_000_000 * 10**9


def names(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture(params=["links", "no links"])
def done(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pictures go, on file systems with links and without."""

    def refuse(*_: object, **_options: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse)
    folder = tmp_path / "done"
    folder.mkdir()
    return folder


def test_the_same_name_again_gets_the_pictures_time_and_then_a_number(done: Path, tmp_path: Path) -> None:
    for content in "abc":
        (tmp_path / "1.png").write_text(content)
        move(tmp_path / "1.png", done / "1.png", WHEN_NS)
        assert not (tmp_path / "1.png").exists()
    assert names(done) == {"1.png": "a", "1-20270115T080000Z.png": "b", "1-20270115T080000Z-2.png": "c"}


def test_after_a_kill_between_the_two_steps_it_is_there_once(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / "1.png").write_text("a")
    os.link(tmp_path / "1.png", tmp_path / "done" / "1.png")
    move(tmp_path / "1.png", tmp_path / "done" / "1.png", WHEN_NS)
    assert names(tmp_path / "done") == {"1.png": "a"}
    assert not (tmp_path / "1.png").exists()


def test_a_link_to_a_picture_is_moved_itself(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / "real.png").write_text("a")
    (tmp_path / "1.png").symlink_to(tmp_path / "real.png")
    move(tmp_path / "1.png", tmp_path / "done" / "1.png", WHEN_NS)
    assert (tmp_path / "done" / "1.png").is_symlink()
    assert names(tmp_path / "done") == {"1.png": "a"}
    assert (tmp_path / "real.png").exists()


def test_one_that_is_gone_is_told(done: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move(tmp_path / "1.png", done / "1.png", WHEN_NS)
    assert not list(done.iterdir())
