import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from core.errors import BackendError, DataError, ParityError
from export import parity, verify
from export.build import ExportRequest, build_bundle
from export.verify import verify_bundle
from runtime.bundles.bundle import Bundle
from runtime.inference.backend import Backend
from runtime.inference.selection import open_backend
from tests.runtime.failing_engine import let_engines_fail


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build_bundle(ExportRequest(checkpoint, tmp_path_factory.mktemp("export") / "disc.bundle"))


def test_pictures_of_the_export_are_held_against_the_trained_models_own_answers(bundle: Bundle, parts: Path) -> None:
    verified = verify_bundle(bundle.path, str(parts), "auto", 8)
    found = verified.parity
    assert (verified.against, verified.pictures) == ("the trained model", 20)
    proven = bundle.manifest.parity[0]
    assert (found.pictures, found.verdict_flips, found.auroc) == (proven.pictures, 0, proven.auroc)
    assert 0 < found.largest_difference < 1e-3


def test_a_backend_that_judges_differently_here_is_refused(
    bundle: Bundle, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "examine", lambda *_: bundle.manifest.parity[0].model_copy(update={"verdict_flips": 3}))
    with pytest.raises(ParityError, match=r"onnxruntime-.*/cpu: 3 of 20 pictures change .*Do not use it here"):
        verify_bundle(bundle.path, str(parts), "onnxruntime-cpu", 8)


def test_an_engine_that_fails_under_way_is_told(bundle: Bundle, parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_engines_fail(monkeypatch, verify)
    with pytest.raises(BackendError, match=r"cpu failed under way: ONNX Runtime: no memory; start it again"):
        verify_bundle(bundle.path, str(parts), "onnxruntime-cpu", 8)


def test_pictures_never_seen_are_compared_with_the_cpu_which_is_not_compared_with_itself(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(3):
        picture = np.random.default_rng(index).integers(0, 255, (48, 48, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture)
    with pytest.raises(DataError, match="seen none of these 3 pictures"):
        verify_bundle(bundle.path, str(tmp_path), "auto", 8)
    opened = open_backend

    def elsewhere(*arguments: Any) -> Backend:
        backend = opened(*arguments)
        backend.name = "elsewhere"
        return backend

    monkeypatch.setattr(verify, "open_backend", elsewhere)
    verified = verify_bundle(bundle.path, str(tmp_path), "auto", 8)
    assert verified.against == "ONNX Runtime on the CPU"
    found = verified.parity
    assert (found.backend, found.pictures, found.largest_difference) == ("elsewhere", 3, 0)


def test_known_pictures_are_found_among_however_many_others(
    bundle: Bundle, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = next((parts / "test" / "good").iterdir())
    shutil.copy(known, tmp_path / f"m{known.suffix}")
    for index in range(9):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((48, 48, 3), index, np.uint8))
    monkeypatch.setattr(parity, "PICTURES", 3)
    verified = verify_bundle(bundle.path, str(tmp_path), "auto", 8)
    assert (verified.parity.pictures, verified.pictures) == (1, 10)


def test_a_picture_that_cannot_be_read_is_told_and_left_out(
    bundle: Bundle, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(parts, tmp_path / "parts")
    (gone := next((tmp_path / "parts" / "test").rglob("*.png"))).unlink()
    gone.symlink_to("nowhere.png")
    os.mkfifo(pipe := gone.with_name("pipe.png"))
    assert verify_bundle(bundle.path, str(tmp_path / "parts"), "auto", 8).pictures == 19
    told = capsys.readouterr().err
    assert f"skipped: {gone}: cannot be read (No such file or directory).\n" in told
    assert f"skipped: {pipe}: cannot be read (it is no file).\n" in told


def test_what_is_not_here_is_not_replaced(bundle: Bundle, parts: Path) -> None:
    with pytest.raises(BackendError):
        verify_bundle(bundle.path, str(parts), "tensorrt", 8)


@pytest.mark.parametrize(("flips", "proven", "pictures", "allowed"), [(1, 200, 10, 0), (1, 200, 200, 1), (0, 0, 10, 0)])
def test_no_picture_more_may_change_its_verdict_than_the_share_that_the_export_let_pass(
    bundle: Bundle, flips: int, proven: int, pictures: int, allowed: int
) -> None:
    row = bundle.manifest.parity[0].model_copy(update={"precision": "int8", "verdict_flips": flips, "pictures": proven})
    lower = Bundle(path=bundle.path, manifest=bundle.manifest.model_copy(update={"parity": (row,)}))
    assert verify.flips_allowed(lower, pictures) == allowed
