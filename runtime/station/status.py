"""The status of a running inspection: reads the state of every piece, and never waits for one. For any thread."""

import time

from runtime.monitoring.health import CameraHealth, EvidenceHealth, StationStatus
from runtime.station.inspection import Inspection


def station_status(inspection: Inspection) -> StationStatus:
    """Look at every piece; never waits for one."""
    evidence, display, link = inspection.evidence, inspection.display, inspection.publisher.link
    states, recovery = inspection.supervisor.states, inspection.loop.recovery
    faults: dict[str, BaseException | None] = {**inspection.supervisor.faults}
    faults |= {"publisher": inspection.publisher.fault, "evidence": evidence.fault if evidence else None}
    return StationStatus(
        prefix=inspection.settings.prefix,
        origin=inspection.model.origin,
        cameras={
            name: CameraHealth(
                states.get(name, "starting"),
                dict(counters.verdicts),
                counters.discarded,
                drifts=display is not None and display.drifts(name),
            )
            for name, counters in dict(inspection.reporter.counters).items()
        },
        dropped=inspection.supervisor.dropped,
        broker=link.state,
        broker_reason=link.reason,
        outbox_depth=inspection.outbox.depth,
        outbox_limit=inspection.settings.outbox.max_events,
        evidence=EvidenceHealth(evidence.written, evidence.dropped, evidence.problem) if evidence else None,
        dead=tuple(name for name, fault in faults.items() if fault is not None),
        silent_s=time.monotonic() - inspection.turned_s,
        engine_problem=recovery.problem,
        engine_away_s=recovery.away_s,
    )
