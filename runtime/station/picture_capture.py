"""The witness: takes from each judged batch the pictures that somebody will want to see, before its memory is reused.

It belongs to the thread that judges. Error maps cost a copy on a GPU: they are asked for only where a part is shown.
"""

from collections.abc import Mapping, Sequence

from core.thresholds import Thresholds
from runtime.events.event import EvidenceRef
from runtime.events.origin import Origin, event_id
from runtime.evidence.archive import Evidence
from runtime.evidence.part_picture import PartPicture
from runtime.inference.run import InferenceRun
from runtime.monitoring.live_view import LiveView
from runtime.parts.verdict import Judgement


class PictureCapture:
    """See the module."""

    def __init__(
        self, origin: Origin, thresholds: Mapping[str, Thresholds], evidence: Evidence | None, display: LiveView | None
    ) -> None:
        """`thresholds` by camera; `evidence` and `display` are who wants to see."""
        self._origin = origin
        self._thresholds = thresholds
        self._evidence = evidence
        self._display = display

    def see(self, run: InferenceRun, judgements: Sequence[Judgement], seqs: Sequence[int]) -> list[EvidenceRef | None]:
        """Look at a batch that was judged; returns what each part's event says of its evidence."""
        return [
            self._see_part(run, row, judgement, seq)
            for row, (judgement, seq) in enumerate(zip(judgements, seqs, strict=True))
        ]

    def _see_part(self, run: InferenceRun, row: int, judgement: Judgement, seq: int) -> EvidenceRef | None:
        part = run.batch.written[row]
        thresholds = self._thresholds[part.camera]
        if self._display is not None:
            self._display.note(part, judgement, thresholds.id)
        is_kept = self._evidence is not None and self._evidence.wants(part.camera, judgement)
        is_shown = self._display is not None and self._display.wants(part.camera, judgement)
        if not (is_kept or is_shown):
            return None
        maps = run.error_maps()
        exhibit = PartPicture(
            event_id=event_id(self._origin, part.camera, seq),
            camera=part.camera,
            captured_at_s=part.captured_at_s,
            frame_bgr_u8=run.batch.buffer[row].copy(),
            error_map=None if maps is None else maps[row].copy(),
            judgement=judgement,
            thresholds=thresholds,
            grid=self._origin.manifest.grid,
        )
        if self._display is not None and is_shown:
            self._display.show(exhibit)
        return self._evidence.offer(exhibit) if self._evidence is not None and is_kept else None
