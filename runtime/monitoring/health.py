"""Health: the state of every piece of a station at one moment, and what follows from it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.delivery.link import Link, LinkState
from runtime.events.origin import Origin
from runtime.parts.verdict import Verdict

HANGS_AFTER_S = 30.0
"""The judging thread goes round many times a second; standing still this long it hangs."""
FULL_SHARE = 0.9
"""An outbox filled beyond this share of its bound is about to discard events."""
AT_WORK = ("streaming", "ended")
"""States of a camera whose parts are judged, or which has none left."""


@dataclass(frozen=True)
class CameraHealth:
    """One camera."""

    state: str
    """A camera's own (see CameraState), `ended` (a file or folder that came to its end), `died` or `starting`."""
    verdicts: Mapping[Verdict, int]
    discarded: int
    drifts: bool
    reason: str = ""
    """Why it gives nothing, in words; while it is at work, what is to be looked at all the same."""
    late: int | None = None
    """Parts that had no verdict in time; None: nobody is told its verdicts at once."""
    unlike: str = ""
    """How its pictures differ from all that trained, and what to do about it; empty: they do not."""

    @property
    def warning(self) -> str:
        """What is to be looked at though its parts are judged; empty: nothing."""
        return self.reason if self.state in AT_WORK else ""


@dataclass(frozen=True)
class EvidenceHealth:
    """The evidence's writer."""

    written: int
    dropped: int
    problem: str = ""
    """Why nothing is written; empty where all is well."""


@dataclass(frozen=True)
class DeliveryHealth:
    """The way to the MES."""

    link: Link
    waiting: int
    """Events in the outbox."""
    limit: int
    """How many it may hold."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why the broker takes no messages of ours, by topic."""
    problem: str = ""
    """Why events that wait may be lost; empty: they are not."""


@dataclass(frozen=True)
class EngineHealth:
    """Who computes."""

    problem: str = ""
    """Why it is away; empty where it is there."""
    away_s: float = 0.0


@dataclass(frozen=True)
class StationStatus:
    """The whole station."""

    prefix: str
    """Of its topics."""
    origins: Mapping[str | None, Origin]
    """Who judges which recipe; None: where none is told."""
    cameras: Mapping[str, CameraHealth]
    dropped: Mapping[str, int]
    """Of each live camera: frames that gave way to a newer one."""
    delivery: DeliveryHealth
    engine: EngineHealth
    evidence: EvidenceHealth | None
    """None: no pictures are kept."""
    dead: tuple[str, ...]
    """Threads that ended by a fault."""
    silent_s: float
    """For how long the judging thread has not gone round."""
    plc_left_out: int | None = None
    """Verdicts that the PLC was not told; None: none is told any."""
    pause: str = ""
    """Who holds the judging, in words; empty while nobody does."""

    @property
    def origin(self) -> Origin:
        """Who judges where no recipe is told."""
        return self.origins[None]


def why_unhealthy(found: StationStatus) -> list[str]:
    """Say what only a restart mends: nothing, where the process does its work."""
    problems = [f"thread {name} died" for name in found.dead]
    if found.silent_s > HANGS_AFTER_S:
        problems.append(f"judging has stood still for {found.silent_s:.0f} s")
    if found.engine.away_s > HANGS_AFTER_S:
        # Some CUDA errors stay with the process: only a new one is rid of them.
        problems.append(f"{found.engine.problem} ({found.engine.away_s:.0f} s)")
    return problems


def why_not_judging(pause: str, problem: str, states: Mapping[str, tuple[str, str]]) -> list[str]:
    """Say what keeps parts from being judged, in words that stay while it lasts: nothing, where all is well.

    `pause` says who holds the judging, `problem` why the engine is away; `states` are the cameras' with their reasons.
    """
    problems = [held for held in (pause, problem) if held]
    for name, (state, reason) in states.items():
        if state not in AT_WORK:
            verb = "" if state == "died" else "is "
            problems.append(f"camera {name} {verb}{state}" + (f": {reason}" if reason else ""))
    return problems


def why_not_ready(found: StationStatus) -> list[str]:
    """Say what keeps parts from being judged and told: nothing, where all is well."""
    problem = found.engine.problem if found.engine.away_s <= HANGS_AFTER_S else ""
    states = {name: (camera.state, camera.reason) for name, camera in found.cameras.items()}
    problems = why_unhealthy(found) + why_not_judging(found.pause, problem, states)
    link, waiting = found.delivery.link, found.delivery.waiting
    if link.state != LinkState.CONNECTED and waiting > FULL_SHARE * found.delivery.limit:
        problems.append(f"broker {link.state} and outbox nearly full ({waiting} events)")
    problems += [found.delivery.problem] if found.delivery.problem else []
    refused = {topic: why for topic, why in found.delivery.refused.items() if topic.startswith(f"{found.prefix}/")}
    problems += [f"broker refuses {topic}: {why}" for topic, why in refused.items()]
    return problems


def warnings_of(found: StationStatus) -> list[str]:
    """Say what a person should look at though parts are judged and told: nothing, where all is well."""
    unlike = [f"pictures of {name} {camera.unlike}" for name, camera in found.cameras.items() if camera.unlike]
    return unlike + [f"camera {name}: {camera.warning}" for name, camera in found.cameras.items() if camera.warning]
