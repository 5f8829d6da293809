"""The link: how it stands with the broker."""

from dataclasses import dataclass
from enum import StrEnum


class LinkState(StrEnum):
    """How it stands with the broker."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


@dataclass(frozen=True)
class Link:
    """The connection's state, since when (monotonic clock), and why."""

    state: LinkState
    since_s: float
    reason: str = ""
    was_connected: bool = False
    """Whether it ever was, since the start."""
