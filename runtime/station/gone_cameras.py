"""Gone cameras: what was retained of cameras that are configured no more is cleared, or it would be told for ever."""

import json
from collections.abc import Iterable

from runtime.delivery.publisher import Publisher
from runtime.events.topics import Topics

NOTE = "cameras told of"


def clear_gone(publisher: Publisher, topics: Topics, names: Iterable[str]) -> None:
    """Clear what an earlier run retained of other cameras than `names`, once the broker is there."""
    known = set(names)
    told = _told(publisher)
    for name in sorted(told - known):
        for topic in (topics.last, topics.counters, topics.camera_status, topics.job):
            publisher.retain(topic(name), b"")
    publisher.outbox.keep({NOTE: json.dumps(sorted(told | known)).encode()})


def forget_gone(publisher: Publisher, names: Iterable[str]) -> None:
    """At the end: what was cleared need not be cleared again, where the broker was there."""
    if publisher.link.was_connected:
        publisher.outbox.keep({NOTE: json.dumps(sorted(names)).encode()})


def _told(publisher: Publisher) -> set[str]:
    note = publisher.outbox.note(NOTE)
    return set(json.loads(note)) if note is not None else set()
