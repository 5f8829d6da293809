"""Prediction: the verdict of a checkpoint or a bundle on any pictures, by the rule that the line uses."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from assessment.model import Model, opened
from assessment.overlays import overlays_folder, write_overlay
from assessment.picture_files import list_files, read_files
from assessment.score_table import Row, score_row
from core.files import whole
from core.pictures.unlike import COLUMNS, Unlikes
from core.printable import printable
from core.progress import counted
from core.thresholds import scores
from runtime.cameras.exposure import exposure_fault
from runtime.parts.verdict import Verdict, judge

_CHUNK = 16
"""Pictures held at once."""


@dataclass(frozen=True)
class Prediction:
    """What is said of one picture."""

    file: Path
    verdict: str
    """`OK`, `NotOK`, or `NotDecidable` where the picture cannot be judged."""
    score: float | None
    """Above 1 is NotOK; None where the picture cannot be judged. A black one has a score, which decides nothing."""
    errors: tuple[float, ...]
    """e_0 of the image, e_1..e_K of its tiles, row-major; empty where the picture cannot be judged."""
    reason: str = ""
    """Why the verdict is NotDecidable."""
    overlay: Path | None = None
    """The picture with its error map over it, where it was asked for."""
    unlike: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(COLUMNS, ""))
    """How it differs from all that trained, see `core.pictures.unlike`."""

    def row(self, tiles: int) -> Row:
        """Give it as a line of the score table."""
        row = score_row(self.file, self.verdict, self.score, self.errors, tiles)
        overlay = printable(whole(self.overlay)) if self.overlay else ""
        return row | {"reason": printable(self.reason), **self.unlike, "overlay": overlay}


def predict(model: Path | str, pictures: Sequence[Path | str], overlays: Path | None = None) -> list[Prediction]:
    """Judge pictures, and the pictures in folders, with a checkpoint or a bundle.

    `overlays` is a new folder to write a picture each into. Raises ArtifactError or BackendError where the model cannot
    be used, DataError where a picture is not there, ConfigError where there is something in `overlays`
    or it lies in such a folder.
    """
    files = [file for place in pictures for file in list_files(Path(place))]
    if overlays is not None:
        overlays_folder(overlays, [place for place in map(Path, pictures) if place.is_dir()])
    with opened(Path(model)) as judging:
        starts = counted(range(0, len(files), _CHUNK), "judging")
        said = [one for start in starts for one in judge_files(judging, files[start : start + _CHUNK], start, overlays)]
    unlikes = Unlikes()
    for one in said:
        unlikes.add(one.file, one.unlike)
    sys.stderr.write(unlikes.told())
    return said


def judge_files(
    model: Model, files: Sequence[Path], start: int = 0, overlays: Path | None = None
) -> Iterator[Prediction]:
    """Judge a few pictures at once; overlays are numbered from `start` on. A picture at fault is NotDecidable.

    Raises DataError where what people said of the pictures is damaged: it says which of them are cut already.
    """
    seen = read_files(files, model.input)
    frames, readable = seen.frames_bgr_u8, seen.readable
    judged = dict(zip(readable, zip(*model.judge(frames[readable]), strict=True), strict=True)) if readable else {}
    for row, file in enumerate(files):
        if row in seen.reasons:
            yield Prediction(file, Verdict.NOT_DECIDABLE.word, None, (), seen.reasons[row])
            continue
        errors, error_map = judged[row]
        fault = exposure_fault(frames[row])
        judgement = judge(errors, model.thresholds, () if fault is None else (fault,))
        if judgement.errors is None:
            yield Prediction(file, judgement.verdict.word, None, (), "the model gave no finite number")
            continue
        score = float(scores(errors[None], model.thresholds)[0])
        reason = "" if fault is None else f"{file}: {fault}, a station would not decide about it"
        word = judgement.verdict.word
        prediction = Prediction(file, word, score, judgement.errors, reason, unlike=seen.differs[row])
        if overlays is not None:
            overlay = write_overlay(overlays, start + row + 1, model, seen.samples[row], judgement, error_map)
            prediction = replace(prediction, overlay=overlay)
        yield prediction
