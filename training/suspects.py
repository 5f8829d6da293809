"""Suspects: the good pictures that stand apart from the others, for somebody to look at before they are believed."""

import math
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from core.calibration import Calibration
from core.csv_table import write_rows
from core.datasets.frames import Frames
from core.printable import caption, printable
from core.thresholds import Thresholds, standing
from training.settings import SUSPECTS_SHEET
from training.sheet import blank_sheet

_LEAST_SHOWN, _MOST_SHOWN = 24, 96
_WIDE, _SIDE, _TITLE = 12.6, 2.1, 0.4
"""Inches of the sheet, of a square picture's side, and of the lines above each."""
_TALLEST = 2 * _SIDE
_HEAD = (
    "Good pictures, those that stand apart most first. Is there a bad part among them?\nRed: sets no threshold, by its "
    "spreads or by the first look.  Spreads: how far above the others, in their standard deviations."
)
_HEAD_INCHES = 0.45


def report_suspects(
    calibration: Calibration, thresholds: Thresholds, frames: Frames, judged: NDArray[np.int64], output: Path
) -> None:
    """Write suspects.csv, every good picture with the most suspect first, and suspects.png, a sheet of the first ones.

    The odd ones come before all others: one that was doubted at the first look was not trained on, and is to be looked
    at, however well the decoders rebuild it. `judged` (M,) says which of `frames` each line of the calibration is.
    Warns on stderr where some stand apart.
    """
    stands = standing(calibration.errors)
    odd = calibration.left_out(thresholds)
    marked = np.array([frames.samples[index].is_marked for index in judged])
    order = np.lexsort((-stands, ~odd))
    shown = order[: min(max(_LEAST_SHOWN, int(odd.sum())), _MOST_SHOWN)]
    with (output / "suspects.csv").open("w", encoding="utf-8", newline="") as file:
        rows = (
            [
                printable(frames.samples[judged[line]].whole_path),
                f"{stands[line]:.2f}",
                *("yes" if yes else "no" for yes in (odd[line], marked[line])),
            ]
            for line in order
        )
        write_rows(file, ["file", "spreads_above_the_others", "left_out_of_the_thresholds", "marked_good"], rows)
    sheet = output / SUSPECTS_SHEET
    _sheet(frames, judged, shown, stands, odd).savefig(sheet, dpi=90)
    if odd.any():
        stand = "stands apart from the others and does" if odd.sum() == 1 else "stand apart from the others and do"
        sys.stderr.write(
            f"warning: {odd.sum()} of {len(odd)} good pictures {stand} not set the thresholds. Look at all of "
            f"{sheet}, remove the bad parts from the data and train again: a bad "
            f"part that trains hides defects like its own. If all are good, set `believe_all: true`; else up to about "
            f"{thresholds.false_reject_with_odd:.0%} of good parts are rejected and not "
            f"{thresholds.false_reject_rate:.0%}, below {thresholds.false_reject_upper_with_odd:.0%} with 95 % "
            "confidence.\n"
        )
    if marked.any():
        sys.stderr.write(
            f"marked as good by people, and trained on however far they stand apart: {marked.sum()} of the pictures; "
            f"of these so far apart that they set no threshold: {(odd & marked).sum()}\n"
        )


def _sheet(
    frames: Frames,
    judged: NDArray[np.int64],
    order: NDArray[np.int64],
    stands: NDArray[np.float64],
    odd: NDArray[np.bool_],
) -> Figure:
    columns, high = _columns_and_height(*frames.bgr_u8.shape[1:3])
    lines = -(-len(order) // columns)
    figure, axes = blank_sheet(_WIDE, (high + _TITLE) * lines + _HEAD_INCHES, lines, columns)
    figure.suptitle(_HEAD, fontsize=9)
    for ax, line in zip(axes.flat, order, strict=False):
        ax.imshow(frames.bgr_u8[judged[line]][:, :, ::-1])
        title = f"{caption(frames.samples[judged[line]].path.name, 144 // columns)}\n{stands[line]:+.1f} spreads"
        ax.set_title(title, fontsize=7, color="#b03a2e" if odd[line] else "black", parse_math=False)
    return figure


def _columns_and_height(height: int, width: int) -> tuple[int, float]:
    """Say how many pictures of this shape stand in a line, and how many inches high: as large as square ones."""
    most = round(_WIDE / _SIDE)
    columns = min(max(round(most * math.sqrt(height / width)), 1), most)
    return columns, min(_WIDE / columns * height / width, _TALLEST)
