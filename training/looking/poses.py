"""Poses: how the parts lie in the pictures, and whether they are cut out and turned straight, and by what."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.pictures.geometry import Pose, Roi
from core.pictures.pose import Outline
from training.looking.findings import beside
from training.looking.survey import Picture
from training.looking.upright import ALIKE, TURNED_DEGREES, TURNED_SHARE, find_upright

FOUND = 0.95
"""A part must be found in this share of the pictures to be cut out of all."""
LIKE_IT = 0.5
"""Of the part's area: what is larger and lies beside it is another part, at which nobody would look."""
LEAST_AXIS_RATIO = 1.15
"""Below it noise decides which way the principal axis points: round and square parts."""
MOST_DEVIATION = 0.1
"""Median deviation of the length, as a share of it: of one kind of part at one distance it is less."""
MOST_FILLED = 0.6
"""Share of the picture: a part that fills more cannot turn far."""
MOVED = 0.05
"""Of the picture's shorter side, off the usual place: half a place of the encoder's maps, were the picture judged."""
MARGIN = 1.05
"""Of a cut-out's sides over the part's."""
NOT_CUT = "Parts are not cut out and turned straight (network.part_size): "


@dataclass(frozen=True)
class Lying:
    """How the parts lie."""

    pose: Pose | None
    """How they are cut out; None: they are not."""
    reason: str
    upright: Path | None = None
    """The picture after which they are turned."""
    why_upright: str = ""


def look_at_poses(good: Sequence[Picture], roi: Roi | None, bits: int) -> Lying:
    """Say how parts are cut out and turned straight, or that they are not; and why. `roi` and `bits` as surveyed."""
    found = [(picture, picture.outline) for picture in good if picture.outline]
    parts = [part for _, part in found]
    if len(parts) < FOUND * len(good):
        return Lying(
            None,
            f"{NOT_CUT}in {len(good) - len(parts)} of {len(good)} pictures nothing differs in colour from the "
            "picture's edge as a part does.",
        )
    ratio = float(np.percentile([part.axis_ratio for part in parts], 5))
    is_round = ratio < LEAST_AXIS_RATIO
    if against := _against(found, is_round):
        return Lying(None, NOT_CUT + against)
    if is_round:
        return _by_what_is_on_them([picture for picture, _ in found], ratio, roi, bits)
    extents = np.array([part.extents for part in parts])
    length, breadth = (math.ceil(extent * MARGIN) for extent in np.percentile(extents, 95, axis=0))
    reason = (
        f"A part was found in {len(parts)} of {len(good)} pictures, longer than wide (axis ratio from {ratio:.2f}), "
        f"as a rule {np.median(extents[:, 0]):.0f} x {np.median(extents[:, 1]):.0f} pixels: it is cut out and turned "
        "straight first, so that it may lie anywhere and at any angle."
    )
    part_size = max(length, breadth), min(length, breadth)
    if part_size[0] > part_size[1]:
        upright = find_upright([picture for picture, _ in found], part_size, roi, bits)
        if upright.tells:
            why = (
                "What is on the part says which end comes left, as in this picture: going by which end is heavier, "
                f"{upright.turned:.0%} lay the other way round. Half of them are like it by "
                f"{upright.alike:.2f} or more (1 is the same picture)."
            )
            return Lying(Pose(part_size, upright.shown), reason, upright.path, why)
    return Lying(Pose(part_size), reason)


def _against(found: Sequence[tuple[Picture, Outline]], is_round: bool) -> str | None:
    """Say what speaks against cutting out the parts that were found; None: nothing."""
    parts = [part for _, part in found]
    # Along what axis a round or square part is measured, noise decides: its area says how large it is.
    areas = [part.share * math.prod(picture.size) for picture, part in found]
    lengths = np.sqrt(areas) if is_round else np.array([max(part.extents) for part in parts])
    touching = sum(part.touches_border for part in parts)
    filled = float(np.median([part.share for part in parts]))
    deviation = float(np.median(np.abs(lengths - np.median(lengths))) / np.median(lengths))
    twins = sum(part.second > LIKE_IT for part in parts)
    around = beside(parts)
    reasons = (
        (
            touching > len(parts) / 2,
            f"in {touching} of {len(parts)} pictures what is found runs off the picture.",
        ),
        (
            twins > (1 - FOUND) * len(parts),
            f"in {twins} of {len(parts)} pictures another thing nearly as large lies next to the part that is found, "
            "and only one of them would be judged. Where each part has its own place, judge each in a region (`roi`).",
        ),
        (filled > MOST_FILLED and not is_round, f"what is found fills {filled:.0%} of the picture."),
        (deviation > MOST_DEVIATION, f"the lengths that are found differ by {deviation:.0%}."),
        (
            not is_round and around > 0 and _lie_alike(found),
            "they lie alike, and what lies beside the thing that is found (legs, a board, a fixture: as a rule "
            f"{around:.1%} of its area) would be cut away and not judged.",
        ),
    )
    return next((reason for holds, reason in reasons if holds), None)


def _lie_alike(found: Sequence[tuple[Picture, Outline]]) -> bool:
    """Say whether long parts lie at one place and along one line, nearly all of them."""
    # Twice the angle is one for both ends.
    lines = np.array([complex(*part.axes[:, 0]) ** 2 for _, part in found])
    usual = complex(np.median(lines.real), np.median(lines.imag))
    degrees = np.abs(np.degrees(np.angle(lines * np.conj(usual)))) / 2
    middles = np.array([part.middle / min(picture.size) for picture, part in found])
    moved = np.linalg.norm(middles - np.median(middles, axis=0), axis=1)
    return float(((degrees > TURNED_DEGREES) | (moved > MOVED)).mean()) < TURNED_SHARE


def _by_what_is_on_them(found: Sequence[Picture], ratio: float, roi: Roi | None, bits: int) -> Lying:
    """Say how round or square parts are turned, which have no long axis."""
    longest = [max(picture.outline.extents) for picture in found if picture.outline]
    side = math.ceil(np.percentile(longest, 95) * MARGIN)
    upright = find_upright(found, (side, side), roi, bits)
    what = f"they are round or square, with no long axis to turn by (axis ratio {ratio:.2f})"
    if upright.alike < ALIKE:
        return Lying(
            None,
            f"{NOT_CUT}{what}, and what is on them does not tell how they lie: turned by it, half of them are like "
            f"the most usual one by {upright.alike:.2f} or less (1 is the same picture).",
        )
    if not upright.tells:
        others = f"only {upright.turned:.0%} lie" if upright.turned else "none lies"
        return Lying(None, f"{NOT_CUT}{what}, and as far as what is on them tells {others} at another angle.")
    reason = (
        f"A part was found in the pictures; {what}. It is cut out and turned upright first, so that it may lie "
        "anywhere and at any angle."
    )
    why = (
        f"The part that all are turned after, by what is on it: turned so, half of them are like it by "
        f"{upright.alike:.2f} or more (1 is the same picture), and {upright.turned:.0%} lay at another angle. Any "
        "picture of a part that lies as you want to see it does as well."
    )
    return Lying(Pose((side, side), upright.shown), reason, upright.path, why)
