"""What an agent hears of the inspection beside it, and what of it is nonsense."""

import pytest

from fleet.neighbour import Neighbour
from runtime.events.topics import Topics

TOPICS = Topics("plant")


@pytest.mark.parametrize("payload", [b"", b"[]", b'"x"', b"5", b"null", b"[" * 100_000, b"\xff", b'{"state": []}'])
def test_whatever_is_sent_in_the_inspections_name_the_agent_lives_on(payload: bytes) -> None:
    changes: list[bool] = []
    neighbour = Neighbour(TOPICS, lambda: changes.append(neighbour.is_running()))
    for topic in (TOPICS.model, TOPICS.status):
        neighbour.handlers[topic](topic, payload, False)
    assert changes == [False, False]
