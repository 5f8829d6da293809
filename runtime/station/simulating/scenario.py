"""Scenarios: what goes wrong on a simulated line, and when: an MES is ready for it before a camera exists. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from core.errors import ConfigError
from runtime.threads.backoff import LONGEST_S

SHORTEST_S = 2.0
"""Of a peace or a trouble: of a camera that came back nothing is judged for half a second."""
NOT_OK_SHARE = 0.05
"""Of the simulated parts with a picture."""
BLACK_SHARE = 0.02
"""Of the simulated parts: their picture is black, hence they are NotDecidable."""
PHASE_PARTS = 20
"""How many parts pass in peace, then in trouble, and so on: at 2 parts a second 10 s each. More where they are fast."""
BURST = 10
"""How many times faster the parts of a burst come."""
KEPT_PHASES = 2.5
"""The outbox holds the events of this many phases where a gap is played: an outage fits in, a burst does not."""


class Scenario(StrEnum):
    """What goes wrong."""

    OUTAGE = "outage"
    """The cable to the broker is pulled: events wait, and come as replayed."""
    CAMERA_DOWN = "camera-down"
    """Live cameras give nothing, and are connected to again."""
    GAP = "gap"
    """An outage in which more parts come than the outbox holds: gap events tell which were given up."""
    BURST = "burst"
    """Parts come ten times as fast."""
    MIXED = "mixed"
    """All of these, in turn."""


PLAYED: Mapping[Scenario, tuple[Scenario, ...]] = {
    **{each: (each,) for each in Scenario},
    Scenario.MIXED: tuple(each for each in Scenario if each != Scenario.MIXED),
}
"""The troubles of each."""


@dataclass(frozen=True)
class Play:
    """A scenario under way."""

    troubles: tuple[Scenario, ...]
    """In turn, over and over; none: nothing goes wrong."""
    rate_per_s: float
    """Parts of each camera, in peace."""
    clock: Callable[[], float]
    started_s: float
    """On the same clock."""

    @property
    def phase_s(self) -> float:
        """How long peace lasts, and each trouble."""
        return max(PHASE_PARTS / self.rate_per_s, SHORTEST_S)

    @property
    def trouble(self) -> Scenario | None:
        """What goes wrong now; None in peace."""
        phase = int((self.clock() - self.started_s) / self.phase_s)
        if not self.troubles or phase % 2 == 0:
            return None
        return self.troubles[phase // 2 % len(self.troubles)]

    @property
    def interval_s(self) -> float:
        """Until the next part of a camera."""
        return 1 / self.rate_per_s / (BURST if self.trouble in (Scenario.BURST, Scenario.GAP) else 1)

    @property
    def longest_wait_s(self) -> float:
        """Before a connection is tried again: whatever failed in the troubles before, each peace sees it restored."""
        return min(self.phase_s / 8, LONGEST_S) if self.troubles else LONGEST_S

    @property
    def events_kept(self) -> int | None:
        """Of each camera, by the outbox; None: as many as it is set to."""
        return round(KEPT_PHASES * self.phase_s * self.rate_per_s) if Scenario.GAP in self.troubles else None

    def is_cut(self) -> bool:
        """Whether the cable to the broker is pulled."""
        return self.trouble in (Scenario.OUTAGE, Scenario.GAP)

    def is_camera_down(self) -> bool:
        """Whether live cameras give nothing."""
        return self.trouble == Scenario.CAMERA_DOWN


def troubles_of(scenario: Scenario | None, has_live_cameras: bool) -> tuple[Scenario, ...]:
    """Give the troubles of a scenario, without those of live cameras where there are none; none of None.

    Raises ConfigError where nothing would go wrong in it.
    """
    if scenario is None:
        return ()
    troubles = tuple(each for each in PLAYED[scenario] if has_live_cameras or each != Scenario.CAMERA_DOWN)
    if not troubles:
        raise ConfigError(f"--scenario {scenario}: no camera is live, so none can be down; add one, as of kind rtsp.")
    return troubles
