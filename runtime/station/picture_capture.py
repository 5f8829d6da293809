"""Picture capture: takes from each judged batch the pictures that somebody will want to see, before it is reused.

It belongs to the thread that judges. Error maps cost a copy on a GPU: they are asked for only where a part is shown.
"""

from core.thresholds import Thresholds
from runtime.events.event import EvidenceRef
from runtime.events.origin import Origin, event_id
from runtime.evidence.archive import Evidence
from runtime.evidence.part_picture import PartPicture
from runtime.inference.run import InferenceRun
from runtime.monitoring.live_view import LiveView
from runtime.parts.verdict import Judgement
from runtime.settings import InspectionSettings


class PictureCapture:
    """Copies frame and error map of a part for the evidence and the page, where one of them wants it."""

    def __init__(self, settings: InspectionSettings) -> None:
        """Keep and show what `settings` ask for."""
        self.evidence = Evidence(settings.evidence) if settings.evidence else None
        """Not started; None where no pictures are kept."""
        self.display = LiveView() if settings.view else None
        """None where there is no page."""

    def capture(
        self, run: InferenceRun, row: int, seq: int, judgement: Judgement, thresholds: Thresholds, origin: Origin
    ) -> EvidenceRef | None:
        """Look at one part of a batch that was judged; returns what its event says of its evidence."""
        part = run.batch.written[row]
        if self.display is not None:
            self.display.note(part, judgement, thresholds.id)
        is_kept = self.evidence is not None and self.evidence.wants(part.camera, judgement)
        is_shown = self.display is not None and self.display.wants(part.camera, judgement)
        if not (is_kept or is_shown):
            return None
        maps = run.error_maps()
        shown = PartPicture(
            event_id=event_id(origin, part, seq),
            camera=part.camera,
            captured_at_s=part.captured_at_s,
            frame_bgr_u8=run.batch.buffer[row].copy(),
            error_map=None if maps is None else maps[row].copy(),
            judgement=judgement,
            thresholds=thresholds,
            grid=origin.manifest.grid,
        )
        if self.display is not None and is_shown:
            self.display.show(shown)
        return self.evidence.offer(shown) if self.evidence is not None and is_kept else None
