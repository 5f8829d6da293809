"""The evidence's part of the configuration."""

from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt

from core.config import Settings
from runtime.parts.verdict import GIVEN


class EvidenceSettings(Settings):
    """Pictures of what was not passed, as files. When there are too many the oldest OK go first, NotOK last."""

    folder: Path
    every_nth_ok: int = Field(default=0, ge=0)
    """Of each camera's OK parts also every n-th. 0: none."""
    jpeg_quality: int = Field(default=98, ge=1, le=100)
    """Of the pictures, which are of the camera's own size; their error maps have 92. Parts that people mark train the
    next model: below 98 JPEG may lose noise by which good parts are known (docs/training.md)."""
    max_age_s: PositiveFloat = 30 * 86400.0
    max_bytes: PositiveInt = 5_000_000_000
    min_free_bytes: int = Field(default=500_000_000, ge=0)
    """With less than this free on the disk no evidence is written: the outbox needs the rest."""
    history_events: PositiveInt = 500_000
    """How many judged parts can be looked back at (about 1 kB each on the disk). Beyond that the oldest OK go first."""

    @property
    def folders(self) -> list[Path]:
        """Where the pictures lie, by their verdict."""
        return [self.folder / verdict.word for verdict in GIVEN]
