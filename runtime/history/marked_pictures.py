"""Marked pictures: those that people said something of go into a folder in MVTec layout, to learn from."""

import hashlib
import shutil
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.datasets.layout import GOOD, is_taken
from core.datasets.remarks import Remark, Truth, save_remarks
from core.errors import ConfigError, DataError, one_line
from core.pictures.geometry import Roi
from core.pictures.picture import read_picture
from core.timestamps import rfc3339
from runtime.history.file import HistoryFile
from runtime.history.marks import Mark, marks

KEPT_BACK = 0.5
"""This share of the parts marked good is for testing: what a model was trained on says little of how well it judges."""


@dataclass(frozen=True)
class MarkedPicture:
    """A picture that was copied."""

    file: Path
    """Relative to the data set's folder."""
    size: tuple[int, int]
    """Width and height in pixels."""
    is_cut: bool
    """See Remark."""
    mark: Mark

    @property
    def remark(self) -> Remark:
        """What stands beside it."""
        mark = self.mark
        return Remark(
            was=mark.was,
            by=mark.by,
            note=mark.note,
            time=rfc3339(mark.at_s),
            event_id=mark.event,
            verdict=mark.body["verdict"]["name"],
            is_cut=self.is_cut,
        )


@dataclass(frozen=True)
class Exported:
    """The result."""

    pictures: tuple[MarkedPicture, ...]
    without_picture: int
    """Marked parts of which no picture was kept, or is no more."""

    @property
    def folders(self) -> Counter[str]:
        """How many pictures lie in each folder."""
        return Counter(str(picture.file.parent) for picture in self.pictures)


def export_marked(evidence: Path, output: Path, regions: Mapping[str, Roi | None]) -> Exported:
    """Copy the pictures of marked parts from the folder `evidence` into the new folder `output`, with their remarks.

    Marked good: train/good, and KEPT_BACK of them test/good, chosen by the event's id, so that a part is for the same
    in every export. Marked bad: test/bad; defective parts are not trained on. `regions` says by camera what of its
    frames is judged where the station's configuration says so. Raises ConfigError where something lies
    in `output`, DataError where there are no marks, or no pictures of them.
    """
    if is_taken(output):
        raise ConfigError(f"{output}: exists already and is kept; give another --output.")
    file = HistoryFile(evidence)
    try:
        found = marks(file)
    except sqlite3.Error as error:
        raise DataError(f"{file.path}: cannot be read ({one_line(error)}); look at the disk.") from error
    if not found:
        raise DataError(f"{file.path}: no part is marked yet; mark some as good or bad first (docs/operations.md).")
    copied = (_copy(mark, evidence, output, regions) for mark in found)
    pictures = [picture for picture in copied if picture is not None]
    if not pictures:
        raise DataError(
            f"{evidence}: no picture is kept of the {len(found)} marked parts; OK parts have some with "
            "`evidence.every_nth_ok`, and old ones are cleared (max_age_s, max_bytes)."
        )
    save_remarks(output, {picture.file.as_posix(): picture.remark for picture in pictures})
    return Exported(tuple(pictures), len(found) - len(pictures))


def _copy(mark: Mark, evidence: Path, output: Path, regions: Mapping[str, Roi | None]) -> MarkedPicture | None:
    ref = (mark.body["evidence"] or {}).get("ref")
    source = evidence / ref if ref else None
    if source is None or not source.is_file():
        return None
    folder = Path("test") / "bad" if mark.was == Truth.BAD else Path(_purpose(mark.event)) / GOOD
    camera, frame = mark.body["camera"], mark.body["frame"]
    file = folder / f"{camera}-{mark.event}{source.suffix}"
    try:
        height, width = read_picture(source).shape[:2]
    except DataError:  # damaged on the disk: of no use for training
        return None
    (output / folder).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, output / file)
    region = regions.get(camera)
    # What is cut beyond the station's own region was cut as the bundle says, which collected pictures were not.
    uncut = region[2:] if region else (frame["width"], frame["height"])
    return MarkedPicture(file, (width, height), (width, height) != tuple(uncut), mark)


def _purpose(event: str) -> str:
    digest = hashlib.sha256(event.encode()).digest()
    return "test" if digest[0] < 256 * KEPT_BACK else "train"
