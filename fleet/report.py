"""The report: which bundle a station has, and how far it is with what it was asked for; retained on its topic."""

import time
from typing import Literal

from pydantic import BaseModel, ConfigDict

from core.timestamps import rfc3339
from runtime.bundles.manifest import Sha256
from runtime.mqtt.message import Outgoing

State = Literal["running", "installed", "fetching", "checking", "failed"]
"""`installed`: it lies there for the next start, since no inspection runs now."""


def presence(topic: str, word: Literal["online", "offline"]) -> Outgoing:
    """Give the word of an agent on `topic` that it is there, or goes."""
    return Outgoing(topic, word.encode(), retain=True, media_type="text/plain")


class Report(BaseModel):
    """What an agent tells."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    state: State
    serial: int
    """Of the order that it is about; 0: none came yet."""
    sha256: Sha256 | None
    """Of the package that is in force; None: the bundle from before the fleet."""
    model: str
    model_sha256: str
    """Of the bundle in force; both empty where it is damaged."""
    error: str = ""
    """Why the order was not carried out; the bundle in force was kept."""
    at: str = ""
    """RFC 3339, UTC."""

    def message(self, topic: str) -> Outgoing:
        """Give it as it is told on `topic`."""
        return Outgoing(topic, self.payload(), retain=True)

    def payload(self) -> bytes:
        """Give it as JSON, with the time."""
        return self.model_copy(update={"at": rfc3339(time.time())}).model_dump_json().encode()

    @property
    def is_done(self) -> bool:
        """Whether the order was carried out."""
        return self.state in ("running", "installed")
