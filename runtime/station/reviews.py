"""Reviews: what people say of judged parts is kept beside the history, and told to the MES. For any thread."""

import logging
import sqlite3

from core.datasets.remarks import Truth
from core.errors import OutboxError, one_line
from runtime.events.review import review
from runtime.history.file import HistoryFile
from runtime.history.marks import Mark, Reviewed, add_mark, reviewed
from runtime.outbox.row import NewEvent
from runtime.parts.verdict import Verdict
from runtime.station.inspection import Inspection

log = logging.getLogger(__name__)


def reviews_of(inspection: Inspection) -> "Reviews | None":
    """Give those of an inspection; None where it keeps no history."""
    history = inspection.reporter.history
    return None if history is None else Reviews(history.file, inspection)


class Reviews:
    """Keeps marks and tells of them, and says what follows of them."""

    def __init__(self, file: HistoryFile, inspection: Inspection) -> None:
        """Keep marks of the parts of `inspection` in `file`."""
        self._file = file
        self._cameras = inspection.settings.streams
        self._models = inspection.models
        self._assign = inspection.loop.assign
        self._topics = inspection.settings.topics
        self._reporter = inspection.reporter

    def mark(self, event: str, was: Truth, by: str, note: str) -> Mark | None:
        """Mark a part; None where its event is not known. Raises OutboxError where that cannot be kept or told."""
        try:
            mark = add_mark(self._file, event, was, by, note)
        except (sqlite3.Error, OSError) as error:
            raise OutboxError(f"the mark cannot be kept ({one_line(error)}); look at the disk, mark again.") from error
        if mark is None:
            return None
        camera = str(mark.body["camera"])
        body = review(mark.body, mark.id, was, by, note, mark.at_s)
        with self._reporter.numbering:
            self._reporter.add([NewEvent(self._topics.review(camera), camera, Verdict.NOT_OK, body)], notes={})
        log.info("part marked event=%s was=%s by=%r", event, was, by)
        return mark

    def reviewed(self) -> dict[str, Reviewed]:
        """Say what people tell of each camera's parts under the thresholds in force; nothing where none is known.

        They are those of the model that its job's recipe chooses.
        """
        found = {}
        for camera in self._cameras:
            try:
                found[camera] = reviewed(
                    self._file, camera, self._models[self._assign(camera, None).recipe].thresholds[camera]
                )
            except sqlite3.Error:  # nothing was judged yet, or the file is away, which the history's writer tells
                continue
        return found
