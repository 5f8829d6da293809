"""Marks drawn on good parts: how small a spot or a scratch is found, whatever defective parts are at hand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from core.thresholds import scores
from training.detector.checkpoint import Checkpoint
from training.detector.inspector import judge

PARTS, FEWEST = 12, 3
SIZES = (0.01, 0.02, 0.04, 0.08)
"""A spot's diameters, as shares of the frame's shorter side."""
SCRATCH = 4
"""A scratch is so many times as long as a spot is wide, and as many times thinner: about the same area."""
FAINT, CLEAR = 25, 80
"""Grey levels by which a mark is darker than what is below it, or brighter where that is dark."""
KINDS = {
    "faint spot": (FAINT, False),
    "clear spot": (CLEAR, False),
    "faint scratch": (FAINT, True),
    "clear scratch": (CLEAR, True),
}
MEANING = (
    f"Drawn on up to {PARTS} of the good parts that pass. A spot's diameter is given in hundredths of the shorter side "
    "of what the model sees, the picture or the part that is cut out of it; a scratch has as much area, and is "
    f"{SCRATCH * SCRATCH} times as long as wide. Faint ones are {FAINT} of 255 grey levels from what is below them, "
    f"clear ones {CLEAR}. They tell how small a fault can be, and nothing of wrong shapes or missing pieces."
)
_DARK = 128
_RIM = 0.1
"""No mark is drawn nearer to the frame's rim, as a share of its shorter side."""
_LEAST_PART, _MOST_PART = 0.05, 0.8
"""Shares of the frame between which what differs from its rim is believed to be the part."""

_Place: TypeAlias = tuple[tuple[int, int], float]
"""x, y of a mark's middle, and its angle."""


@dataclass(frozen=True, eq=False)
class DrawnMarks:
    """One kind of mark at one size, drawn on good parts."""

    kind: str
    size: float
    """Diameter of a spot of about the mark's area, as a share of the frame's shorter side."""
    found: int
    parts: int
    example_bgr_u8: NDArray[np.uint8]
    """Around the mark (h, w, 3), of one of the parts as the model sees it: the same for all marks."""

    def row(self) -> dict[str, Any]:
        """Give the figures, for a program."""
        return {"kind": self.kind, "size": self.size, "found": self.found, "parts": self.parts}


def parts_beside(pictures: int) -> int:
    """Say on how many parts marks are drawn beside so many pictures, to take as long again as those, or little more."""
    return min(PARTS, max(FEWEST, pictures // (len(KINDS) * len(SIZES))))


def draw_marks(
    checkpoint: Checkpoint,
    frames_bgr_u8: NDArray[np.uint8],
    passed: NDArray[np.bool_],
    calibrated: NDArray[np.int64],
    most: int = PARTS,
) -> tuple[DrawnMarks, ...]:
    """Draw marks on the frames (N, H, W, 3) of `most` good parts that `passed` (N,), and judge those.

    A part has a kind of mark at one place, in all sizes. `calibrated` (N,) says which part of the calibration each is,
    -1: none. Those are judged by the decoder that has not trained on them: the others know all but the mark too well,
    and find rather less. None where no part passes of which that can be said.
    """
    rng = np.random.default_rng(checkpoint.settings.seed)
    known, members = calibrated >= 0, np.full(len(calibrated), -1)
    if checkpoint.calibration.members is not None:
        members[known] = checkpoint.calibration.members[calibrated[known]]
    # With one decoder the calibration has a share of the training's pictures alone, and the others trained.
    fresh = ~known & (checkpoint.settings.folds > 1 or not known.any())
    chosen = rng.permutation(np.flatnonzero(passed & (fresh | (members >= 0))))[:most]
    if not len(chosen):
        return ()
    parts = frames_bgr_u8[chosen]
    places = [[_place(part, rng) for _ in KINDS] for part in parts]
    marked = np.stack([_marked(part, at) for part, at in zip(parts, places, strict=True)], axis=1)
    found = np.zeros(len(marked), np.int64)
    for member in np.unique(members[chosen]):
        drawn_on = marked[:, members[chosen] == member]
        alone = None if member < 0 else int(member)
        errors, _ = judge(checkpoint.inspector, drawn_on.reshape(-1, *parts.shape[1:]), member=alone)
        found += (scores(errors, checkpoint.thresholds) > 1).reshape(drawn_on.shape[:2]).sum(axis=1)
    drawn = [(kind, at, size) for kind, (at, _) in zip(KINDS, places[0], strict=True) for size in SIZES]
    return tuple(
        DrawnMarks(kind, size, int(count), len(parts), _around(first, at))
        for (kind, at, size), count, first in zip(drawn, found, marked[:, 0], strict=True)
    )


def marks_table(rows: Iterable[dict[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the table of marks found, a column a size, from `DrawnMarks.row` of all."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["kind"], []).append(f"{row['found']} of {row['parts']}")
    return ("drawn, and found", *(f"{size:.0%}" for size in SIZES)), [(kind, *cells) for kind, cells in found.items()]


def _place(frame: NDArray[np.uint8], rng: np.random.Generator) -> _Place:
    rows, columns = np.nonzero(_part_of(frame))
    chosen = rng.integers(len(rows))
    return (int(columns[chosen]), int(rows[chosen])), rng.uniform(0, np.pi)


def _marked(frame: NDArray[np.uint8], places: Sequence[_Place]) -> NDArray[np.uint8]:
    """Draw each kind in each size on a frame (H, W, 3): (kinds * sizes, H, W, 3)."""
    side = min(frame.shape[:2])
    marked = []
    for (levels, is_scratch), (at, angle) in zip(KINDS.values(), places, strict=True):
        sign = -1 if frame[at[1], at[0]].mean() > _DARK else 1
        for size in SIZES:
            length, width = (SCRATCH * size * side, size * side / SCRATCH) if is_scratch else (0.0, size * side)
            covered = mark_covers(frame.shape[:2], at, angle, length, width)
            marked.append(np.clip(frame + sign * levels * covered[:, :, None], 0, 255).round().astype(np.uint8))
    return np.stack(marked)


def _around(frame: NDArray[np.uint8], at: tuple[int, int]) -> NDArray[np.uint8]:
    """Cut out of a frame (H, W, 3) what lies around a place (x, y): a square of half the shorter side."""
    shown = max(min(frame.shape[:2]) // 2, 1)
    left, top = (
        int(np.clip(place - shown // 2, 0, side - shown)) for place, side in zip(at, frame.shape[1::-1], strict=True)
    )
    return frame[top : top + shown, left : left + shown].copy()  # a view would keep all marked frames


def mark_covers(
    shape: tuple[int, int], at: tuple[int, int], angle: float, length: float, width: float
) -> NDArray[np.float64]:
    """How much of each pixel (H, W) a line with round ends covers, 0 to 1; with no length it is a disc.

    `at` is its middle (x, y), its length and width are in pixels, and may be below one.
    """
    down, across = np.mgrid[: shape[0], : shape[1]].astype(float)
    x, y = across - at[0], down - at[1]
    along, aside = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    far = np.hypot(np.maximum(np.abs(along) - length / 2, 0), aside)
    # A line thinner than a pixel darkens it as much less; a disc does so in both directions.
    share = min(width, 1.0) if length else min(np.pi / 4 * width * width, 1.0)
    covered: NDArray[np.float64] = np.clip(max(width, 1.0) / 2 + 0.5 - far, 0, 1) * share
    return covered


def _part_of(frame_bgr_u8: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the part is (H, W), away from the rim of the frame: what differs from it, or all where that is unclear."""
    height, width = frame_bgr_u8.shape[:2]
    rim = np.concatenate([frame_bgr_u8[0], frame_bgr_u8[-1], frame_bgr_u8[:, 0], frame_bgr_u8[:, -1]])
    far = np.abs(frame_bgr_u8 - np.median(rim, axis=0)).max(axis=2).astype(np.uint8)
    part: NDArray[np.bool_] = cv2.threshold(far, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1] > 0
    border = round(_RIM * min(height, width))
    inner = np.zeros_like(part)
    inner[border : height - border, border : width - border] = True
    clear = _LEAST_PART < part.mean() < _MOST_PART and (part & inner).any()
    return part & inner if clear else inner
