import html
import json
import re
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import cv2
import pytest
from rich.console import Console

from assessment.comparison import compare
from assessment.comparison_report import render_comparison
from assessment.metrics import NO_DEFECTIVE
from assessment.recalibration import set_threshold
from assessment.summary import print_comparison
from core.errors import DataError
from core.files import sha256_of
from runtime.bundles.bundle import load_bundle, save_manifest
from runtime.bundles.calibration import CALIBRATION
from tests.pictures import draw_part
from training.detector.checkpoint import load_checkpoint, save_checkpoint


def test_the_same_model_twice_differs_nowhere_and_a_stricter_one_is_told(
    checkpoint: Path, exported: Path, parts: Path, tmp_path: Path
) -> None:
    same = compare((checkpoint, exported), str(parts))
    assert len(same.samples) == 20
    assert not len(same.differing)
    alike = Console(width=300, record=True, file=StringIO())
    print_comparison(same, ("old", "new"), alike)
    assert alike.export_text().splitlines()[-1] == "the verdicts differ on 0 of 20 pictures", "and no empty table"
    strict = Path(shutil.copytree(exported, tmp_path / "strict"))
    set_threshold(strict, 0.6)
    found = compare((checkpoint, strict), str(parts))
    assert len(found.differing) > 0
    assert not found.defective[found.differing].any()
    console = Console(width=300, record=True, file=StringIO())
    print_comparison(found, ("old", "new"), console)
    shown = console.export_text()
    for words in (
        "12 good, 8 defective",
        "AUROC",
        "misses",
        "false rejects",
        f"differ on {len(found.differing)} of 20",
    ):
        assert words in shown
    asked = next(line for line in shown.splitlines() if "false rejects asked" in line)
    assert re.findall(r"[-+.\d]+%", asked)[1] == "60.0%", "at another rate other parts are missed by the same model"
    assert all(str(found.samples[i].path) in shown for i in found.differing)
    narrow = Console(width=80, record=True, file=StringIO())
    print_comparison(found, ("runs/a-long-name/of-old", "runs/a-long-name/of-new"), narrow)
    assert "…" not in narrow.export_text()


def test_pictures_that_a_model_has_from_its_training_are_told_since_they_flatter_it(
    checkpoint: Path, exported: Path, parts: Path, tmp_path: Path
) -> None:
    older = Path(shutil.copytree(exported, tmp_path / "older"))
    manifest = load_bundle(older).manifest
    files = {name: digest for name, digest in manifest.files.items() if name != CALIBRATION}
    save_manifest(older, manifest.model_copy(update={"files": files}))
    copies = shutil.copytree(parts / "train" / "good", tmp_path / "copies")
    flattered = compare((checkpoint, older), str(copies))
    kept = len(load_checkpoint(checkpoint).calibration.names)
    assert flattered.known == (kept, 0)
    (warning,) = flattered.warnings(("new", "older"))
    assert warning.startswith(f"new knows {kept} of these {len(flattered.samples)} pictures from its training")
    assert warning in render_comparison(flattered, ("new", "older"), "parts")
    told = Console(width=300, record=True, file=StringIO())
    print_comparison(flattered, ("new", "older"), told)
    assert NO_DEFECTIVE in told.export_text()
    assert html.escape(NO_DEFECTIVE) in render_comparison(flattered, ("new", "older"), "copies")
    assert not compare((checkpoint, exported), str(parts)).warnings(("one", "other")), "its test pictures are new to it"


def test_a_bundle_knows_what_trained_wherever_it_lies_now(exported: Path, parts: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    content = json.loads((bundle / CALIBRATION).read_text())
    content["names"] = [f"/gone/{name}" for name in content["names"]]
    (bundle / CALIBRATION).write_text(json.dumps(content))
    manifest = load_bundle(exported).manifest
    files = {**manifest.files, CALIBRATION: sha256_of(bundle / CALIBRATION)}
    save_manifest(bundle, manifest.model_copy(update={"files": files}))
    found = compare((bundle, exported), str(parts / "train" / "good"))
    assert found.known == (len(content["names"]),) * 2


def test_the_report_shows_what_changes_verdict_with_both_maps_and_says_whether_that_is_better(
    checkpoint: Path, exported: Path, parts: Path, tmp_path: Path
) -> None:
    strict = Path(shutil.copytree(exported, tmp_path / "strict"))
    set_threshold(strict, 0.6)
    evil = "<script>alert(1)</script>"
    for one, other, title in ((exported, strict, "Worse now"), (strict, exported, "Better now")):
        found = compare((one, other), str(parts))
        report = render_comparison(found, ("old", evil), "parts")
        assert evil not in report
        (group,) = [part for part in report.split("<details") if f"<summary>{title}: {len(found.differing)} (" in part]
        assert group.startswith(" open>")
        cards = report.split(title)[1].split("<p>")[0].split("<figure>")[1:]
        shown = {
            str(found.samples[i].path): card
            for i in found.differing
            for card in cards
            if found.samples[i].path.name in card
        }
        assert len(shown) == len(found.differing)
        for i in found.differing:
            card = shown[str(found.samples[i].path)]
            assert card.count("data:image/jpeg") == 3
            assert all(f"OK {score:.2f}" in card for score in found.scores[:, i])


def test_where_one_model_or_both_see_nothing_of_the_pictures_it_is_said_which(checkpoint: Path, tmp_path: Path) -> None:
    trained, pictures = load_checkpoint(checkpoint), tmp_path / "pictures"
    pictures.mkdir()
    models = []
    for name, region in (("wide", (60, 0, 30, 20)), ("high", (0, 60, 20, 30)), ("beyond", (200, 0, 9, 9))):
        network = trained.settings.network.model_copy(update={"roi": region})
        settings = trained.settings.model_copy(update={"network": network})
        models.append(tmp_path / name)
        save_checkpoint(models[-1], replace(trained, settings=settings))
    for number, size in enumerate([(96, 48), (48, 96)] * 2):
        cv2.imwrite(str(pictures / f"{number}.png"), cv2.resize(draw_part(number), size))
    with pytest.raises(DataError, match=f"{models[0]} and {models[1]}: none of 4 pictures can be judged by both"):
        compare((models[0], models[1]), str(pictures))
    with pytest.raises(DataError, match=f"{models[2]}: none of 4 pictures can be read; the first: .*region"):
        compare((models[0], models[2]), str(pictures))
