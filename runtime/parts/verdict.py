"""Verdicts: a part's errors against their thresholds, and the reasons why a part cannot be judged. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

from core.thresholds import Thresholds


class Verdict(IntEnum):
    """ResultEvaluationEnum of OPC 40001-101."""

    UNDEFINED = 0
    OK = 1
    NOT_OK = 2
    NOT_DECIDABLE = 3

    @property
    def word(self) -> str:
        """The name in OPC 40001-101."""
        return ("Undefined", "OK", "NotOK", "NotDecidable")[self]

    @property
    def key(self) -> str:
        """The name by which JSON counts it, such as `not_ok`."""
        return self.name.lower()


GIVEN = (Verdict.OK, Verdict.NOT_OK, Verdict.NOT_DECIDABLE)
"""What parts are given."""


class Reason(StrEnum):
    """Why a part is not OK."""

    IMAGE_ERROR = "image_error"
    """NotOK: the error of the whole image is above its threshold."""
    TILE_ERROR = "tile_error"
    """NotOK: the error of at least one tile is above its threshold."""
    UNREADABLE = "unreadable"
    """NotDecidable: the picture cannot be decoded whole."""
    WRONG_SIZE = "wrong_size"
    """NotDecidable: the frame has not the size that is expected, or that those before it had."""
    ROI_OUTSIDE = "roi_outside"
    """NotDecidable: the region of interest does not lie within the frame."""
    BLACK = "black"
    OVEREXPOSED = "overexposed"
    NO_PART = "no_part"
    """NotDecidable: there is no part in the frame that could be turned straight."""
    NO_FRAME = "no_frame"
    """NotDecidable: the camera gave nothing for longer than `stale_after_s`, nothing near enough to the trigger, or a
    frame of a triggered factory camera was lost."""
    FROZEN = "frozen"
    """NotDecidable: the camera gives the same frame again and again."""
    STALE = "stale"
    """NotDecidable: the frame waited for longer than `stale_after_s` to be judged."""
    OVERRUN = "overrun"
    """NotDecidable: parts were triggered faster than they can be judged."""
    NO_RECIPE = "no_recipe"
    """NotDecidable: the station has bundles for its recipes, and none for the one that was told of the part."""
    ERROR_NOT_FINITE = "error_not_finite"
    """NotDecidable: the model gave a value that is no finite number."""
    ERROR_NOT_POSITIVE = "error_not_positive"
    """NotDecidable: the model gave an error of 0 or below, which no picture has."""
    ENGINE_FAULT = "engine_fault"
    """NotDecidable: the engine failed with the part under way."""


NO_PIXELS = frozenset({Reason.UNREADABLE, Reason.ROI_OUTSIDE, Reason.NO_PART, Reason.NO_FRAME, Reason.OVERRUN})
"""Reasons for which a part's row holds nothing of it."""
NO_ERRORS = NO_PIXELS | {Reason.ENGINE_FAULT, Reason.NO_RECIPE}
"""Reasons for which a part's errors mean nothing."""


@dataclass(frozen=True)
class Judgement:
    """What is said of one part, and on what grounds."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    errors: tuple[float, ...] | None
    """e_0 of the image, e_1..e_K of its tiles, row-major. None where there were none, finite and above 0."""
    tile_verdicts: tuple[Verdict, ...]
    """Of each tile by itself; empty where there are no errors."""
    margin: float | None
    """1 - the largest e_k / eps_k: the share of the threshold that was left. Negative fails."""

    @property
    def has_pixels(self) -> bool:
        """Whether there is a picture of the part."""
        return NO_PIXELS.isdisjoint(self.reasons)


def judge(errors: NDArray[np.float32], thresholds: Thresholds, faults: Sequence[Reason] = ()) -> Judgement:
    """Judge one part by its errors (K + 1,) (Eq. 23). `faults` of its frame make it NotDecidable, whatever the errors.

    Where the frame had no pixels, or the engine failed (NO_ERRORS), the errors mean nothing and are left out.
    """
    if not NO_ERRORS.isdisjoint(faults):
        return Judgement(Verdict.NOT_DECIDABLE, tuple(faults), None, (), None)
    values = errors.tolist()
    if not all(map(math.isfinite, values)):
        return Judgement(Verdict.NOT_DECIDABLE, (*faults, Reason.ERROR_NOT_FINITE), None, (), None)
    if min(values) <= 0:
        return Judgement(Verdict.NOT_DECIDABLE, (*faults, Reason.ERROR_NOT_POSITIVE), None, (), None)
    # As core.thresholds.ratios, whose arrays cost more than ten divisions.
    shares = [error / limit for error, limit in zip(values, thresholds.values, strict=True)]
    failed = [share > 1 for share in shares]
    if faults:
        verdict, reasons = Verdict.NOT_DECIDABLE, tuple(faults)
    elif any(failed):
        verdict = Verdict.NOT_OK
        reasons = (Reason.IMAGE_ERROR,) * failed[0] + (Reason.TILE_ERROR,) * any(failed[1:])
    else:
        verdict, reasons = Verdict.OK, ()
    return Judgement(
        verdict=verdict,
        reasons=reasons,
        errors=tuple(values),
        tile_verdicts=tuple(Verdict.NOT_OK if tile else Verdict.OK for tile in failed[1:]),
        margin=1 - max(shares),
    )
