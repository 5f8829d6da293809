"""Trends: how much of the threshold good parts leave, and whether that shrinks. Pure.

The rule: the first REFERENCE good parts of a camera say what is usual here. Drift is told when the median margin of its
last RECENT good parts is below the worst tenth of the reference. While nothing changes, half of RECENT independent
parts fall into that tenth with a chance below 1e-11, so the warning means something: light, lens, fixture or material.
"""

from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median, quantiles

from runtime.parts.verdict import Judgement, Verdict

REFERENCE = 200
RECENT = 50
SHOWN = 240
"""How many parts a trend remembers for the eye."""


@dataclass
class _Margins:
    """Of the good parts that one model judged since its thresholds changed."""

    thresholds_id: str
    reference: list[float] = field(default_factory=list)
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def drifts(self) -> bool:
        return len(self.recent) == RECENT and median(self.recent) < self._worst_tenth

    @cached_property
    def _worst_tenth(self) -> float:
        return quantiles(self.reference, n=10)[0]  # of a reference that is complete, and stays


@dataclass
class Trend:
    """One camera's margins since the start, of each of the station's models by itself."""

    shown: deque[tuple[Verdict, float | None]] = field(default_factory=lambda: deque(maxlen=SHOWN))
    """The last parts of any verdict, oldest first."""
    _by_recipe: dict[str | None, _Margins] = field(default_factory=dict)
    _newest: _Margins = field(default_factory=lambda: _Margins(""))

    def add(self, judgement: Judgement, thresholds_id: str, recipe: str | None = None) -> None:
        """Take a part in that the model of `recipe` (see Origin) judged.

        Margins against other thresholds cannot be compared: the reference begins again.
        """
        margins = self._by_recipe.get(recipe)
        if margins is None or margins.thresholds_id != thresholds_id:
            margins = self._by_recipe[recipe] = _Margins(thresholds_id)
        self._newest = margins
        self.shown.append((judgement.verdict, judgement.margin))
        if judgement.verdict == Verdict.OK and judgement.margin is not None:
            if len(margins.reference) < REFERENCE:
                margins.reference.append(judgement.margin)
            else:
                margins.recent.append(judgement.margin)

    @property
    def usual(self) -> float | None:
        """The median margin of the reference of the newest part's model; None until it is complete."""
        reference = self._newest.reference
        return median(reference) if len(reference) == REFERENCE else None

    @property
    def drifts(self) -> bool:
        """Whether a model's recent good parts are nearer to the threshold than those of its reference."""
        return any(margins.drifts for margins in self._by_recipe.values())
