"""Rows of the outbox: what is stored of an event, and the digests that tell whether it comes back. Pure.

Beside the event stands, sealed by a digest of its own, the gap event that is told in its place: should the event be
given up, or come back from the disk with another byte in it, its number is still known.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from runtime.events.gap import gap_of
from runtime.events.topics import gap_beside
from runtime.parts.verdict import Verdict

DIGEST_BYTES = 8
GAP = -1
"""Stands where an event has its verdict."""


@dataclass(frozen=True)
class NewEvent:
    """An event to be added."""

    topic: str
    camera: str
    verdict: Verdict
    body: bytes
    cause: bytes | None = None
    """What it was told because of, and may come again after a crash: a file, a trigger. None: nothing that does."""
    answer: tuple[bytes, str] | None = None
    """The cause of the trigger that asked for it, which its sender may repeat, and the event's id to answer with."""


@dataclass(frozen=True)
class StoredEvent:
    """An event that waits."""

    position: int
    """Rises from event to event, over all runs."""
    topic: str
    stored_s: float
    """When it was stored, by the outbox's own count (see Lifetime)."""
    body: bytes


@dataclass(frozen=True)
class Row:
    """One row, except for its position."""

    topic: str
    camera: str
    verdict: int
    stored_s: float
    gap: bytes
    """Sealed: the topic and body of the gap event in its place; empty where it is one itself."""
    body: bytes

    @property
    def digest(self) -> bytes:
        """Of everything in it."""
        head = json.dumps([self.topic, self.camera, int(self.verdict), self.stored_s]).encode()
        return _digest(b"%d %d " % (len(head), len(self.gap)) + head + self.gap + self.body)

    @property
    def is_gap(self) -> bool:
        """Whether it tells of others."""
        return self.verdict == GAP


COLUMNS = "CAST(topic AS BLOB), CAST(camera AS BLOB), verdict, stored_s, gap, body, digest"
"""What `read_row` takes; text as bytes, since damaged text is none."""


def new_row(event: NewEvent, stored_s: float) -> Row:
    """Make the row of a new event."""
    return Row(event.topic, event.camera, event.verdict, stored_s, sealed_gap(event.topic, event.body), event.body)


def sealed_gap(topic: str, body: bytes) -> bytes:
    """Seal what is told in the place of an event; empty for one without a number, which leaves no hole."""
    try:
        return seal(gap_beside(topic).encode() + b"\n" + gap_of(body))
    except KeyError:
        return b""


def gap_alone(event: StoredEvent) -> bytes:
    """Give the gap event that tells of `event` and no other; empty for one that leaves none."""
    try:
        return gap_of(event.body)
    except KeyError:
        return b""


def gap_row(row: Row, gap: bytes) -> Row | None:
    """Make the row that tells of `row` in its place, by its sealed `gap`; None where that is damaged too."""
    opened = unseal(gap)
    if opened is None:
        return None
    topic, body = opened.split(b"\n", 1)
    return Row(topic.decode(), json.loads(body)["camera"], GAP, row.stored_s, b"", body)


def read_row(columns: tuple[Any, ...]) -> Row | None:
    """Give the row that was stored (see COLUMNS); None where the disk gives back something else."""
    topic, camera, verdict, stored_s, gap, body, digest = columns
    kinds = (bytes, bytes, int, float, bytes, bytes, bytes)
    if not all(isinstance(value, kind) for value, kind in zip(columns, kinds, strict=True)):
        return None
    try:
        row = Row(topic.decode(), camera.decode(), verdict, stored_s, gap, body)
    except UnicodeDecodeError:
        return None
    return row if row.digest == digest else None


def seal(content: bytes) -> bytes:
    """Put a digest before `content`."""
    return _digest(content) + content


def unseal(sealed: object) -> bytes | None:
    """Give the content; None where it is not what was sealed."""
    if not isinstance(sealed, bytes):
        return None
    content = sealed[DIGEST_BYTES:]
    return content if content and _digest(content) == sealed[:DIGEST_BYTES] else None


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
