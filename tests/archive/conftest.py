"""Fixtures: a bundle, an archive with a damaged picture in it, and one that kills whoever reads it."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from archive import workers
from archive.shard_judge import rows
from assessment.model import opened
from assessment.prediction import judge_files
from tests.runtime.pictures import write_pictures
from tests.runtime.small_bundle import write_bundle

DEADLY = b"\x89PNG\r\n\x1a\n deadly"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("archive") / "even-grey")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 good parts, 9 bad ones, and a damaged picture that comes first."""
    folder = write_pictures(tmp_path_factory.mktemp("pictures") / "line-1", 30, 9)
    (folder / "00000-cut.png").write_bytes((folder / "00000.png").read_bytes()[:200])
    return folder


@pytest.fixture
def judged_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is not about the process that judges, whose start takes half a second of a core."""
    monkeypatch.setattr(workers, "ShardJudge", JudgeHere)


class JudgeHere:
    """Judges shards as ShardJudge does, but what kills."""

    def __init__(self, bundle: Path, tiles: int) -> None:
        self._bundle, self._tiles = bundle, tiles

    def judge(self, pictures: Sequence[str]) -> str:
        with opened(self._bundle, threads=1) as model:
            return rows(judge_files(model, [*map(Path, pictures)]), self._tiles)

    def close(self) -> None: ...


@pytest.fixture
def deadly(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, and a picture that kills every process that reads it from now on, as a decoder's fault does."""
    folder = tmp_path / "deadly"
    folder.mkdir()
    for file in pictures.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "00017-deadly.png").write_bytes(DEADLY)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, signal\n"
        "import core.pictures.picture_file as file\n"
        "whole = file.decode\n"
        "def decode(data):\n"
        f"    if data == {DEADLY!r}: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return whole(data)\n"
        "file.decode = decode\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{site}:{os.environ.get('PYTHONPATH', '')}")
    return folder
