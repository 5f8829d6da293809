"""The end of an inspection: how it is asked for, and the result of the whole."""

from collections.abc import Mapping
from dataclasses import dataclass


class Stop:
    """Asks an inspection to end. A plain flag, so that a signal handler may set it at any moment."""

    reason: str | None = None
    is_heeded = False
    """Whether somebody looks at it. Until then a signal interrupts what is still set up."""


@dataclass(frozen=True)
class Summary:
    """The result of an inspection."""

    verdicts: Mapping[str, int]
    judged: int
    """Parts, each with its event on disk."""
    unreadable: int
    images_per_s: float
    waiting_before: int
    """Events found in the outbox from an earlier run."""
    acknowledged: int
    """Events that the broker took, those found included."""
    discarded: int
    """Events given up because the outbox was full."""
    waiting: int
    """Events left in the outbox."""
    stopped: str | None
    """Why it was stopped; None where every camera came to its end."""
