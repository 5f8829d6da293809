"""A task: what is done with a part of one stream. Decided when it gets its row, since until then its job may change."""

from collections.abc import Callable
from dataclasses import dataclass

from core.pictures.geometry import ModelInput
from runtime.batching.fitting import Fit, fit_on_cpu
from runtime.parts.frame import Trigger
from runtime.parts.job import Job
from runtime.parts.verdict import Reason


@dataclass(frozen=True)
class Task:
    """Which model judges the part, and how that has seen pictures in training."""

    stream: str
    """Whose part it is."""
    seen: ModelInput
    recipe: str | None = None
    """Of the model; see Origin."""
    fit: Fit = fit_on_cpu
    job: Job | None = None
    """What the part is taken for, where its recipe chooses its model; else it is of the job under way when judged."""
    faults: tuple[Reason, ...] = ()
    """Why the model cannot judge it, whatever its frame."""


Assign = Callable[[str, Trigger | None], Task]
"""Gives what is to be done now with a part of a stream, by what its trigger says. For any thread; returns at once."""
