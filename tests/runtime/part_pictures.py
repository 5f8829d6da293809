"""Exhibits for tests: parts of the test bundle's kind, judged by its rule."""

from functools import cache
from pathlib import Path

import numpy as np

from core.thresholds import Thresholds, calibrate
from runtime.evidence.part_picture import PartPicture
from runtime.parts.moment import Moment
from runtime.parts.part import Part
from runtime.parts.verdict import Reason, judge
from tests.runtime.pictures import GOOD_GREY, GRID, bad_picture, expected_errors, good_picture


@cache
def thresholds() -> Thresholds:
    errors = np.stack([expected_errors(good_picture(10_000 + seed)) for seed in range(200)])
    return calibrate(errors * 1.5, 0.01)


def part_picture(number: int, bad: bool = True, faults: tuple[Reason, ...] = (), at_s: float = 1.8e9) -> PartPicture:
    frame = bad_picture(number) if bad else good_picture(number)
    judgement = judge(expected_errors(frame).astype(np.float32), thresholds(), faults)
    picture = (lambda: frame) if judgement.has_pixels else None
    return PartPicture(
        event_id=f"{number:08}",
        part=Part("top", Moment(at_s, 0.0), (frame.shape[1], frame.shape[0]), None, (), picture=picture),
        error_map=(((frame.astype(np.float32) - GOOD_GREY) / 255) ** 2).mean(axis=2),
        judgement=judgement,
        thresholds=thresholds(),
        grid=GRID,
    )


def files(folder: Path) -> list[str]:
    """The pictures in `folder`."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
