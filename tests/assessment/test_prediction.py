import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from assessment.model import Model
from assessment.prediction import judge_files, predict
from core.errors import ArtifactError, BackendError, ConfigError, DataError
from core.pictures.geometry import ModelInput
from core.thresholds import Thresholds
from runtime.inference import selection
from tests.pictures import read_picture, remark_good, write_picture
from tests.runtime.failing_engine import let_engines_fail

ROOT = Path(__file__).parents[2]


def test_a_bundle_and_its_checkpoint_say_the_same(checkpoint: Path, exported: Path, parts: Path) -> None:
    trained, bundled = (predict(model, [parts / "test"]) for model in (checkpoint, exported))
    assert len(trained) == 20
    assert [one.verdict for one in trained] == [one.verdict for one in bundled]
    assert [one.score for one in trained] == pytest.approx([one.score for one in bundled], rel=1e-3)
    assert {one.verdict for one in trained if one.file.parent.name == "scratch"} == {"NotOK"}
    assert all((one.score > 1) == (one.verdict == "NotOK") for one in trained if one.score is not None)


def test_what_cannot_be_read_is_not_decidable_and_the_others_are_judged(
    exported: Path, parts: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(parts / "test" / "scratch", tmp_path / "pictures"))
    (folder / "000.png").write_bytes(b"junk")
    cut, *others = predict(exported, [folder])
    assert (cut.verdict, cut.score, cut.errors) == ("NotDecidable", None, ())
    assert "not a whole picture" in cut.reason
    assert [one.verdict for one in others] == ["NotOK"] * 7


def test_the_command_names_each_picture_once_a_line(exported: Path, parts: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(parts / "test" / "scratch", tmp_path / "pictures"))
    (folder / "000.png").write_bytes(b"junk")
    cut, *others = command("predict", exported, folder).splitlines()
    assert cut.startswith(f"NotDecidable {folder}/000.png: not a whole picture")
    assert [line.count(str(folder)) for line in (cut, *others)] == [1] * 8


def test_overlays_have_the_pictures_own_shape_and_an_older_folder_is_left_alone(
    exported: Path, parts: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "wide.png"
    cv2.imwrite(str(picture), cv2.resize(read_picture(parts / "test" / "scratch" / "000.png"), (1800, 900)))
    (part,) = predict(exported, [picture], tmp_path / "overlays")
    assert part.overlay is not None
    height, width = read_picture(part.overlay).shape[:2]
    assert width == 2 * height
    with pytest.raises(ConfigError, match="not empty"):
        predict(exported, [picture], tmp_path / "overlays")


def test_pictures_of_a_shape_that_none_had_that_trained_are_warned_of_once(
    checkpoint: Path, exported: Path, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = read_picture(parts / "test" / "good" / "000.png")
    for number in range(40):
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), picture[: 24 if number else 48])
    for model in (checkpoint, exported):
        predict(model, [tmp_path / "00.png"])
        assert "warning" not in capsys.readouterr().err
        assert len(predict(model, [tmp_path])) == 40
        told = capsys.readouterr().err
        assert told.count("warning: ") == 1
        assert "39 of 40 pictures are squeezed" in told
        assert f"{tmp_path / '01.png'} (2 times as wide as high, and what trained 1)" in told


def test_what_a_line_cut_out_and_kept_is_not_cut_again(tmp_path: Path) -> None:
    whole = np.arange(40 * 40 * 3, dtype=np.uint8).reshape(40, 40, 3)
    for name, picture in (("cut", whole[10:34, 8:32]), ("other", whole[:20, :20]), ("whole", whole)):
        write_picture(tmp_path / f"{name}.png", picture)
    remark_good(tmp_path, "cut.png", "other.png")
    seen: list[np.ndarray] = []

    def judge(frames_bgr_u8: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.extend(frames_bgr_u8)
        return np.full((len(frames_bgr_u8), 10), 0.5, np.float32), np.zeros((len(frames_bgr_u8), 3, 3), np.float32)

    allowed = Thresholds(
        values=(1.0,) * 10, false_reject_rate=0.1, false_reject_expected=0.1, false_reject_upper=0.2, parts=20
    )
    model = Model("disc", ModelInput(24, 24, roi=(8, 10, 24, 24)), 3, allowed, judge)
    cut, other, uncut = judge_files(model, sorted(tmp_path.glob("*.png")), overlays=tmp_path)
    by_line, here = seen
    assert np.array_equal(by_line, here), "the same region"
    assert (cut.verdict, other.verdict, uncut.verdict) == ("OK", "NotDecidable", "OK")
    assert "is a cut-out of 20 x 20 pixels by the model that judged it, and those of 24 x 24" in other.reason
    assert [read_picture(one.overlay).shape for one in (cut, uncut) if one.overlay] == [(24, 24, 3)] * 2


def test_what_is_not_there_is_told(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such picture or folder"):
        predict(exported, [tmp_path / "absent.png"])
    with pytest.raises(ArtifactError, match="does not exist"):
        predict(tmp_path / "absent", [ROOT / "docs"])


def command(*arguments: object, without_torch: bool = False) -> str:
    program = "import sys; sys.modules.update(torch=None, sklearn=None, matplotlib=None)\n" if without_torch else ""
    program += "from assessment.cli import evaluate_model as e; e()"
    shown = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(shown, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_the_command_judges_with_a_bundle_without_torch(exported: Path, parts: Path) -> None:
    shown = command("predict", exported, parts / "test" / "scratch", "--json", without_torch=True)
    rows = json.loads(shown)
    assert {row["verdict"] for row in rows} == {"NotOK"}
    assert len([name for name in rows[0] if name.startswith("tile_")]) == 9
    table = list(csv.DictReader(io.StringIO(command("predict", exported, parts / "test" / "scratch", "--csv"))))
    assert [row["file"] for row in table] == [row["file"] for row in rows]


def test_the_notebooks_three_lines_run(
    exported: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text()
    lines = page.split("```python\n")[1].split("```")[0]
    assert len([line for line in lines.splitlines() if line]) == 3
    (tmp_path / "my-part.bundle").symlink_to(exported)
    (tmp_path / "pictures").symlink_to(parts / "test" / "scratch")
    monkeypatch.chdir(tmp_path)
    exec(compile(lines, "notebook", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.count("NotOK") == 8


def test_an_engine_that_fails_under_way_is_told(exported: Path, parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_engines_fail(monkeypatch, selection)
    with pytest.raises(BackendError, match=r"failed under way: ONNX Runtime: no memory; start it again"):
        predict(exported, [parts / "test"])
