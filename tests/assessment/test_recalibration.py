import shutil
from pathlib import Path

import pytest

from assessment.prediction import predict
from assessment.recalibration import consequences, set_threshold
from core.errors import ArtifactError, DataError
from runtime.bundles.bundle import load_bundle, save_manifest
from runtime.bundles.calibration import CALIBRATION, load_calibration
from runtime.bundles.manifest import SIGNATURE
from training.detector.checkpoint import load_checkpoint


def test_a_checkpoint_gets_the_thresholds_that_training_would_have_given(checkpoint: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(checkpoint, tmp_path / "checkpoint"))
    before = load_checkpoint(copy)
    done = set_threshold(copy, 0.3)
    after = load_checkpoint(copy)
    assert done.before == before.thresholds
    assert done.after == after.thresholds == before.calibration.thresholds(0.3)
    assert after.settings.false_reject_rate == 0.3
    assert max(after.thresholds.values) < max(before.thresholds.values)


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
