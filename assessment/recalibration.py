"""Recalibration: thresholds for another false-reject rate, from the good parts' errors that a model keeps."""

from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from assessment.model import is_bundle
from core.thresholds import Thresholds


@dataclass(frozen=True)
class Recalibrated:
    """Thresholds before and after."""

    before: Thresholds
    after: Thresholds
    signature_removed: bool = False
    """A bundle's signature no longer fits, and is gone."""
    site_thresholds: Path | None = None
    """Thresholds that cameras have from their own site, which go before the bundle's and stay."""


def set_threshold(path: Path, false_reject_rate: float, believe_all: bool = False) -> Recalibrated:
    """Set a checkpoint's or a bundle's thresholds anew, without training, and write it in one step.

    Good parts that stand apart are left out, unless `believe_all`. Raises ArtifactError where `path` is neither or an
    older bundle without calibration, DataError where it holds too few good parts for the rate.
    """
    return (_of_bundle if is_bundle(path) else _of_checkpoint)(path, false_reject_rate, believe_all)


def thresholds_table(done: Recalibrated) -> Table:
    """Lay out the thresholds, old and new."""
    before, after = done.before, done.after
    table = Table("", "before", "now", title="thresholds")
    for label, values in (
        ("false rejects asked", [f"{one.false_reject_rate:.1%}" for one in (before, after)]),
        ("expected", [f"{one.false_reject_expected:.1%}" for one in (before, after)]),
        ("below, with 95 % confidence", [f"{one.false_reject_upper:.1%}" for one in (before, after)]),
        ("good parts believed", [str(one.parts) for one in (before, after)]),
        ("left out, since they stand apart", [str(one.odd) for one in (before, after)]),
    ):
        table.add_row(label, *values)
    grid = round((len(after.values) - 1) ** 0.5)
    for k, (old, new) in enumerate(zip(before.values, after.values, strict=True)):
        table.add_row(
            "image" if k == 0 else f"tile {(k - 1) // grid + 1},{(k - 1) % grid + 1}", f"{old:.4g}", f"{new:.4g}"
        )
    return table


def _of_checkpoint(path: Path, false_reject_rate: float, believe_all: bool) -> Recalibrated:
    from training.checkpoint import load_checkpoint, save_checkpoint

    checkpoint = load_checkpoint(path)
    after = checkpoint.calibration.thresholds(false_reject_rate, believe_all)
    asked = {"false_reject_rate": false_reject_rate, "believe_all": believe_all}
    settings = checkpoint.settings.model_copy(update=asked)
    save_checkpoint(path, replace(checkpoint, thresholds=after, settings=settings))
    return Recalibrated(checkpoint.thresholds, after)


def _of_bundle(path: Path, false_reject_rate: float, believe_all: bool) -> Recalibrated:
    from runtime.bundles.bundle import load_bundle, save_manifest
    from runtime.bundles.calibration import load_calibration
    from runtime.bundles.manifest import SIGNATURE
    from runtime.bundles.site_thresholds import site_file

    bundle = load_bundle(path)
    after = load_calibration(bundle).thresholds(false_reject_rate, believe_all)
    save_manifest(path, bundle.manifest.model_copy(update={"thresholds": after}))
    signed = (path / SIGNATURE).is_file()
    (path / SIGNATURE).unlink(missing_ok=True)
    site = site_file(path)
    return Recalibrated(bundle.manifest.thresholds, after, signed, site if site.is_file() else None)
