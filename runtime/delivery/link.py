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

    def changed(self, state: LinkState, reason: str, now_s: float) -> "Link":
        """Give the link in `state` from `now_s` on (monotonic clock); one that was down stays so since it went down."""
        stays_down = LinkState.CONNECTED not in {self.state, state}
        was_connected = self.was_connected or state == LinkState.CONNECTED
        return Link(state, self.since_s if stays_down else now_s, reason, was_connected)
