"""The status of a running inspection: reads the state of every piece, and never waits for one."""

import time

from runtime.monitoring.health import CameraHealth, EvidenceHealth, StationStatus
from runtime.station.inspection import Inspection


def station_status(inspection: Inspection) -> StationStatus:
    """Look at every piece; never waits for one."""
    feeds = {stream: feed for feed in inspection.feeds for stream in feed.streams}
    evidence, display, link = inspection.evidence, inspection.display, inspection.publisher.link
    cameras = {}
    for name, tally in dict(inspection.tallies).items():
        feed = feeds.get(name)
        state = "starting" if feed is None else feed.state
        drifts = display is not None and display.drifts(name)
        cameras[name] = CameraHealth(state, dict(tally.verdicts), tally.discarded, drifts)
    faults = {feed.name: feed.fault for feed in inspection.feeds}
    faults |= {"publisher": inspection.publisher.fault, "evidence": evidence.fault if evidence else None}
    return StationStatus(
        prefix=inspection.topics.prefix,
        origin=inspection.origin,
        cameras=cameras,
        dropped={name: status.dropped for name, camera in inspection.cameras.items() if (status := camera.status())},
        broker=link.state,
        broker_reason=link.reason,
        outbox_depth=inspection.outbox.depth,
        outbox_limit=inspection.settings.outbox.max_events,
        evidence=EvidenceHealth(evidence.written, evidence.dropped, evidence.problem) if evidence else None,
        dead=tuple(name for name, fault in faults.items() if fault is not None),
        silent_s=time.monotonic() - inspection.turned_s,
        engine_problem=inspection.recovery.problem,
        engine_away_s=inspection.recovery.away_s,
    )
