import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assessment.evaluation import evaluate
from assessment.metrics import what_if
from assessment.prediction import predict
from assessment.recalibration import consequences, set_threshold
from core.errors import ArtifactError, DataError
from core.files import sha256_of
from runtime.bundles.bundle import load_bundle, save_manifest
from runtime.bundles.calibration import CALIBRATION, load_calibration, save_calibration
from runtime.bundles.manifest import SIGNATURE
from training.detector.checkpoint import load_checkpoint, save_checkpoint


def test_a_checkpoint_gets_the_thresholds_that_training_would_have_given(checkpoint: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(checkpoint, tmp_path / "checkpoint"))
    before = load_checkpoint(copy)
    done = set_threshold(copy, 0.3)
    after = load_checkpoint(copy)
    assert done.before == before.thresholds
    assert done.after == after.thresholds == before.calibration.thresholds(0.3)
    assert after.settings.false_reject_rate == 0.3
    assert max(after.thresholds.values) < max(before.thresholds.values)


def test_the_same_rate_gives_the_same_thresholds_whether_the_odd_were_believed_or_not(
    checkpoint: Path, exported: Path, parts: Path, tmp_path: Path
) -> None:
    trained = load_checkpoint(checkpoint)
    doubted = np.arange(len(trained.calibration.names)) < 3
    calibration = replace(trained.calibration, doubted=doubted)
    told = {believes: calibration.thresholds(0.2, believes) for believes in (True, False)}
    assert told[False].odd >= 3
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    save_calibration(bundle, calibration)
    for believes, other in ((True, False), (False, True)):
        settings = trained.settings.model_copy(update={"believe_all": believes})
        copy = tmp_path / "checkpoint"
        save_checkpoint(copy, replace(trained, calibration=calibration, thresholds=told[believes], settings=settings))
        files = load_bundle(exported).manifest.files | {CALIBRATION: sha256_of(bundle / CALIBRATION)}
        update = {"thresholds": told[believes], "files": files}
        save_manifest(bundle, load_bundle(exported).manifest.model_copy(update=update))
        for model in (copy, bundle):
            errors = np.array([one.errors for one in predict(model, [parts / "test" / "good"])])
            expected = what_if(calibration, errors, np.zeros(len(errors), bool), believes)
            assert consequences(model, [str(parts / "test" / "good")]).rows == expected
            assert set_threshold(model, 0.2).after == told[believes]
            assert set_threshold(model, 0.2, other).after == told[other]
            assert set_threshold(model, 0.2).after == told[other]
        assert load_checkpoint(copy).settings.believe_all is other


def test_the_report_tells_of_the_thresholds_that_would_be_set_where_an_older_version_left_out_what_training_believed(
    checkpoint: Path, parts: Path, tmp_path: Path
) -> None:
    trained = load_checkpoint(checkpoint)
    apart = np.arange(len(trained.calibration.names)) < 3
    errors = np.where(apart[:, None], 50, 1) * trained.calibration.errors
    calibration = replace(trained.calibration, errors=errors, doubted=apart)
    settings = trained.settings.model_copy(update={"believe_all": True})
    older = replace(trained, calibration=calibration, thresholds=calibration.thresholds(0.2), settings=settings)
    save_checkpoint(tmp_path / "older", older)
    assert evaluate(older, str(parts)).metrics["what_if"] == consequences(tmp_path / "older", str(parts)).rows


def test_a_bundle_is_sealed_again_and_loses_its_signature(
    checkpoint: Path, exported: Path, parts: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    assert load_calibration(load_bundle(bundle)).errors == pytest.approx(load_checkpoint(checkpoint).calibration.errors)
    (bundle / SIGNATURE).write_bytes(b"of what it was")
    scores = [one.score for one in predict(bundle, [parts / "test" / "good"])]
    done = set_threshold(bundle, 0.3)
    assert done.signature_removed
    assert not (bundle / SIGNATURE).exists()
    assert load_bundle(bundle).manifest.thresholds == done.after
    assert not set_threshold(bundle, 0.3).signature_removed
    higher = [one.score for one in predict(bundle, [parts / "test" / "good"])]
    assert sum(a > b for a, b in zip(higher, scores, strict=True) if a and b) > 6


def test_an_unkeepable_promise_and_an_older_bundle_leave_everything_as_it_was(exported: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    manifest = load_bundle(bundle).manifest
    with pytest.raises(DataError, match="cannot promise a false-reject rate of 0.001:"):
        set_threshold(bundle, 0.001)
    assert load_bundle(bundle).manifest == manifest
    files = {name: digest for name, digest in manifest.files.items() if name != CALIBRATION}
    save_manifest(bundle, manifest.model_copy(update={"files": files}))
    with pytest.raises(ArtifactError, match="export it again"):
        set_threshold(bundle, 0.3)


@pytest.mark.parametrize("kind", ["checkpoint", "exported"])
def test_known_bad_parts_say_which_rate_would_find_them(
    kind: str, checkpoint: Path, exported: Path, parts: Path, tmp_path: Path
) -> None:
    model = {"checkpoint": checkpoint, "exported": exported}[kind]
    copy = tmp_path / "model"
    (shutil.copytree if model.is_dir() else shutil.copy)(model, copy)
    bad = tmp_path / "marked" / "test" / "bad"
    shutil.copytree(parts / "test" / "scratch", bad)
    flat = shutil.copytree(bad, tmp_path / "somebody's pictures")
    told = consequences(copy, [str(flat)]).told
    assert "all count as good" in told
    assert "Put pictures of bad parts into test/<kind of defect>" in told
    # Parts that look as good ones do, and that somebody calls bad: strict thresholds find the one, none the other.
    alike = sorted(predict(copy, [parts / "test" / "good"]), key=lambda one: one.score or 0.0)
    shutil.copy(alike[0].file, bad / "never.png")
    assert "not all 9 defective parts would be found at any rate" in consequences(copy, [str(tmp_path / "marked")]).told
    for one in reversed(alike):
        shutil.copy(one.file, bad / "never.png")
        found = consequences(copy, [str(tmp_path / "marked")])
        if (found.finds_all or 0) > 0.06:
            break
    missed = [row["misses"] for row in found.rows if "misses" in row]
    assert missed == sorted(missed, reverse=True)
    assert found.finds_all is not None
    assert f"all 9 defective parts are found from --false-reject-rate {found.finds_all:g} on" in found.told
    set_threshold(copy, found.finds_all)
    assert all(one.verdict == "NotOK" for one in predict(copy, [bad]))
    set_threshold(copy, found.finds_all - 0.001)
    assert any(one.verdict == "OK" for one in predict(copy, [bad]))
