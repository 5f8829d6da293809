"""The past of a station: its history, and the evidence that belongs to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from pathlib import Path

from runtime.history.entry import Entry
from runtime.history.file import HistoryFile

MAP = "-map"
"""Behind an event's id: its error map."""


@dataclass(frozen=True)
class Past:
    """What can be looked back at."""

    folder: Path
    """Of the evidence."""
    shifts: Sequence[time]
    """When they begin."""

    @property
    def file(self) -> HistoryFile:
        """The judged parts."""
        return HistoryFile(self.folder)

    def picture(self, entry: Entry, kind: str = "") -> Path | None:
        """Give the file of a part's picture, with MAP that of its error map; None where it is gone, or never was."""
        if entry.picture is None:
            return None
        file = self.folder / entry.picture
        file = file.with_stem(file.stem + kind)
        return file if file.is_file() else None
