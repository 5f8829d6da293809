"""Picture capture: takes of each judged batch what somebody will want to see, and hands it over.

It belongs to the thread that judges, which neither copies nor encodes a picture. Error maps cost a copy on a GPU: they
are asked for only where a part is shown.
"""

from dataclasses import replace

from runtime.events.event import JudgedPart
from runtime.evidence.archive import Evidence
from runtime.evidence.part_picture import PartPicture
from runtime.inference.run import InferenceRun
from runtime.monitoring.live_view import LiveView
from runtime.settings import InspectionSettings


class PictureCapture:
    """Hands a part's pixels and error map to the evidence and the page, where one of them wants it."""

    def __init__(self, settings: InspectionSettings) -> None:
        """Keep and show what `settings` ask for."""
        self.evidence = Evidence(settings.evidence) if settings.evidence else None
        """Not started; None where no pictures are kept."""
        self.display = LiveView() if settings.view else None
        """None where there is no page."""
        self._address = settings.view.address if settings.view else None

    def capture(self, run: InferenceRun, row: int, judged: JudgedPart) -> JudgedPart:
        """Look at the part in `row` of a batch; gives it with what its event says of its evidence."""
        part, judgement = judged.part, judged.judgement
        if self.display is not None:
            self.display.note(part, judgement, judged.thresholds.id, judged.origin.recipe)
        is_kept = self.evidence is not None and self.evidence.wants(part.camera, judgement)
        is_shown = self.display is not None and self.display.wants(part.camera, judgement)
        if not (is_kept or is_shown):
            return judged
        maps = run.error_maps() if judgement.errors is not None else None
        shown = PartPicture(
            event_id=judged.id,
            part=part,
            error_map=None if maps is None else maps[row].copy(),
            judgement=judgement,
            thresholds=judged.thresholds,
            grid=judged.origin.manifest.grid,
            job=judged.job,
        )
        if self.display is not None and is_shown:
            self.display.show(shown)
        kept = self.evidence.offer(shown) if self.evidence is not None and is_kept else None
        if kept is not None and self._address is not None:
            kept = replace(kept, url=f"{self._address}/evidence/{shown.event_id}.jpg")
        return replace(judged, evidence=kept)
