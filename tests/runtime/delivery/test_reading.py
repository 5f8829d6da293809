"""Reading: each event once over one connection, whatever is stored meanwhile."""

from collections.abc import Sequence
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime.delivery.reading import Reading
from runtime.mqtt.refusals import Refusals
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import NewEvent, StoredEvent
from runtime.outbox.settings import OutboxSettings
from runtime.parts.verdict import Verdict
from tests.runtime.scratch import scratch


def letter(seq: int) -> NewEvent:
    return NewEvent("p/camera/a/result", "a", Verdict.OK, b'{"seq":%d}' % seq)


class Busy(Outbox):
    """An outbox into which others store between the moment that its newest is asked for and that it is read."""

    meanwhile = 0

    def read(self, after: int, limit: int, without: Sequence[str] = ()) -> list[StoredEvent]:
        begin = self.newest + 1
        self.add([letter(seq) for seq in range(begin, begin + self.meanwhile)])
        self.meanwhile = 0
        return super().read(after, limit, without)


@settings(max_examples=30, deadline=None)
@example([(0, 1, 2)])
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 4)), max_size=6))
def test_each_event_is_read_once_and_in_order_whatever_is_stored_meanwhile(rounds: list[tuple[int, int, int]]) -> None:
    with scratch() as folder:
        outbox = Busy(OutboxSettings(path=Path(folder) / "box.sqlite"))
        reading, read = Reading(outbox, Refusals()), list[int]()
        for before, meanwhile, limit in [*rounds, (0, 0, 1000)]:
            outbox.add([letter(seq) for seq in range(outbox.newest + 1, outbox.newest + 1 + before)])
            outbox.meanwhile = meanwhile
            read += [event.position for event in reading.read(limit, set())]
        assert read == list(range(1, outbox.newest + 1))
        assert reading.is_through
        outbox.close()
