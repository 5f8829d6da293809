"""Missed parts: told of, and without a frame. Their events need not wait for the model."""

from collections.abc import Sequence

import numpy as np

from runtime.events.event import Timing
from runtime.events.judged_part import JudgedPart
from runtime.inference.model_in_use import ModelInUse
from runtime.parts.part import Part
from runtime.parts.verdict import judge
from runtime.station.reporter import Reporter


def miss(reporter: Reporter, model: ModelInUse, parts: Sequence[Part]) -> None:
    """Have `reporter` store the events of `parts`. For any thread; raises OutboxError."""
    with reporter.numbering:
        judged = []
        for part in parts:
            thresholds = model.thresholds[part.camera]
            judgement = judge(np.empty(0, np.float32), thresholds, part.faults)
            seq = reporter.numbering.next(part.camera)
            judged.append(JudgedPart(part, judgement, seq, thresholds, Timing(0.0, 0.0, 0.0), None))
        reporter.store(judged, model.origin)
