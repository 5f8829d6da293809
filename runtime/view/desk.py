"""The desk: what the HTTP API may ask of the station behind it."""

from typing import Protocol

from core.datasets.remarks import Truth
from core.errors import PwaeError
from runtime.history.marks import Mark, Reviewed


class BusyError(PwaeError):
    """A station that cannot judge a picture now."""


class Judges(Protocol):
    """Who judges pictures that come by HTTP. For any thread."""

    def predict(self, data: bytes, camera: str | None, recipe: str | None) -> bytes:
        """Judge a picture file as one of `camera` and of `recipe`; gives the event, which nobody else is told.

        Raises PictureFault where it is no picture, LookupError where there is no such camera, BusyError where nothing
        is judged now.
        """


class TakesMarks(Protocol):
    """Who keeps what people say. For any thread."""

    def mark(self, event: str, was: Truth, by: str, note: str) -> Mark | None:
        """Mark a part; None where its event is not known. Raises OutboxError where that cannot be kept or told."""

    def reviewed(self) -> dict[str, Reviewed]:
        """Say what people tell of each camera's parts."""
