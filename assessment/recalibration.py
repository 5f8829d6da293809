"""Recalibration: thresholds for another false-reject rate, from the good parts' errors that a model keeps."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from assessment.decidable import decidable
from assessment.metrics import LARGEST_RATE, NO_DEFECTIVE, rate_that_finds_all, what_if
from assessment.model import calibration_of, is_bundle, opened
from core.datasets.dataset import Data, are_defective, labelled_samples
from core.datasets.frames import read_frames
from core.pictures.tiles import output_names
from core.thresholds import Thresholds
from runtime.bundles.bundle import load_bundle, save_manifest
from runtime.bundles.calibration import load_calibration
from runtime.bundles.manifest import SIGNATURE
from runtime.bundles.site_thresholds import site_file


@dataclass(frozen=True)
class Recalibrated:
    """Thresholds before and after."""

    before: Thresholds
    after: Thresholds
    signature_removed: bool = False
    """A bundle's signature no longer fits, and is gone."""
    site_thresholds: Path | None = None
    """Thresholds that cameras have from their own site, which go before the bundle's and stay."""
    name: str | None = None
    """The part's, of a checkpoint, which goes to the line with its next export."""


def set_threshold(path: Path, false_reject_rate: float, believe_all: bool | None = None) -> Recalibrated:
    """Set a checkpoint's or a bundle's thresholds again, without training, and write it in one step.

    Good parts that stand apart are left out, unless `believe_all`; None: where they were so far. Raises ArtifactError
    where `path` is neither or an older bundle without calibration, DataError where it holds too few good parts for the
    rate.
    """
    return (_of_bundle if is_bundle(path) else _of_checkpoint)(path, false_reject_rate, believe_all)


@dataclass(frozen=True)
class Consequences:
    """What other rates would give on labelled pictures."""

    rows: list[dict[str, Any]]
    """See `what_if`."""
    defective: int
    finds_all: float | None
    """See `rate_that_finds_all`; None too where no defective part is there."""

    @property
    def told(self) -> str:
        """In words, what it takes to find all known bad parts."""
        if not self.defective:
            return NO_DEFECTIVE
        if self.finds_all is None:
            return f"not all {self.defective} defective parts would be found at any rate up to {LARGEST_RATE:.0%}"
        return f"all {self.defective} defective parts are found from --false-reject-rate {self.finds_all:g} on"


def consequences(path: Path, data: Data, believe_all: bool | None = None) -> Consequences:
    """Say what other false-reject rates of a checkpoint or a bundle would give on `data`; changes nothing.

    Raises as `set_threshold`, DataError too where there is no picture, BackendError where it cannot be judged here.
    """
    calibration = calibration_of(path)
    with opened(path) as model:
        frames = decidable(read_frames(labelled_samples(data), model.input))
        errors = model.judge(frames.bgr_u8)[0]
        believes = _believes(believe_all, model.thresholds)
    defective = are_defective(frames.samples)
    finds_all = rate_that_finds_all(calibration, errors[defective], believes) if defective.any() else None
    return Consequences(what_if(calibration, errors, defective, believes), int(defective.sum()), finds_all)


def thresholds_table(done: Recalibrated) -> Table:
    """Lay out the thresholds, old and new."""
    before, after = done.before, done.after
    table = Table("", "before", "now", title="thresholds")
    for label, values in (
        ("false rejects asked", [f"{one.false_reject_rate:.1%}" for one in (before, after)]),
        ("false rejects expected", [f"{one.false_reject_expected:.1%}" for one in (before, after)]),
        ("fewer than, with 95 % confidence", [f"{one.false_reject_upper:.1%}" for one in (before, after)]),
        ("good parts that set them", [str(one.parts) for one in (before, after)]),
        ("good parts left out: they stand apart", [str(one.odd) for one in (before, after)]),
        ("expected at most, if these are good too", [f"{one.false_reject_with_odd:.1%}" for one in (before, after)]),
    ):
        table.add_row(label, *values)
    for name, old, new in zip(output_names(len(after.values)), before.values, after.values, strict=True):
        table.add_row(name, f"{old:.4g}", f"{new:.4g}")
    return table


def _believes(asked: bool | None, before: Thresholds) -> bool:
    """Say whether all good parts are to be believed: as is asked, or as they were so far."""
    return before.believes_all if asked is None else asked


def _of_checkpoint(path: Path, false_reject_rate: float, believe_all: bool | None) -> Recalibrated:
    from training.detector.checkpoint import load_checkpoint, save_checkpoint

    checkpoint = load_checkpoint(path)
    believes = _believes(believe_all, checkpoint.thresholds)
    after = checkpoint.calibration.thresholds(false_reject_rate, believes)
    asked = {"false_reject_rate": false_reject_rate, "believe_all": believes}
    settings = checkpoint.settings.model_copy(update=asked)
    save_checkpoint(path, replace(checkpoint, thresholds=after, settings=settings))
    return Recalibrated(checkpoint.thresholds, after, name=settings.name)


def _of_bundle(path: Path, false_reject_rate: float, believe_all: bool | None) -> Recalibrated:
    bundle = load_bundle(path)
    believes = _believes(believe_all, bundle.manifest.thresholds)
    after = load_calibration(bundle).thresholds(false_reject_rate, believes)
    save_manifest(path, bundle.manifest.model_copy(update={"thresholds": after}))
    signed = (path / SIGNATURE).is_file()
    (path / SIGNATURE).unlink(missing_ok=True)
    site = site_file(path)
    return Recalibrated(bundle.manifest.thresholds, after, signed, site if site.is_file() else None)
