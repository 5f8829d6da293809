"""Commands on the thread that judges: whatever is sent, it goes on, and each is answered."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from runtime.commands.handler import CommandHandler
from runtime.delivery.outbound import Outbound
from runtime.events.topics import Topics
from runtime.mqtt.message import Message, Outgoing
from runtime.outbox.journal import Journal
from runtime.outbox.row import StoredEvent

VERBS = ["pause", "resume", "snapshot", "reload", "recalibrate", "resend", "job"]
TOPICS = Topics("plant")


class Line:
    """A handler, and what it answered."""

    def __init__(self, outbound: Outbound) -> None:
        self.replies: list[Outgoing] = []
        self.take: Callable[[Message], None] = lambda _message: None
        model = SimpleNamespace(require_bundle=self._no_bundle, open=None, origin=SimpleNamespace(boot_id="b"))
        publisher = SimpleNamespace(
            subscribe=self._subscribe, send=self.replies.append, outbound=outbound, notify=lambda: None
        )
        asked = SimpleNamespace(topics=TOPICS, streams={"top": None}, commands=VERBS, evidence=None)
        handler: Any = CommandHandler
        models = SimpleNamespace(default=model, named=lambda _recipe: model)
        self.handler: CommandHandler = handler(asked, publisher, models, {"job": self._fail})

    def _subscribe(self, _topic: str, take: Callable[[Message], None]) -> None:
        self.take = take

    @staticmethod
    def _no_bundle() -> None:
        raise ConfigError("a simulation has no bundle.")

    @staticmethod
    def _fail(_command: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    def ask(self, verb: str, **keys: Any) -> dict[str, Any]:
        self.replies.clear()
        self.take(Message(TOPICS.command(verb), json.dumps({"request_id": "1", **keys}).encode(), False))
        self.handler.serve()
        (reply,) = self.replies
        return dict(json.loads(reply.payload))


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with closing(Journal(tmp_path / "journal.sqlite", 20)) as journal, closing(Outbound(journal)) as outbound:
        for number, run in enumerate(("before", "b")):
            told = {"seq": 1, "boot_id": run, "camera": "top", "capture_time": "2026-11-23T22:05:00Z"}
            journal.keep([StoredEvent(number, "p/camera/top/result", 0.0, json.dumps(told).encode())])
        yield Line(outbound)


def test_a_fault_of_ours_is_an_answer_and_no_end(line: Line) -> None:
    assert line.ask("job")["error"] == "job: it failed (a fault of ours)."
    assert line.ask("pause")["ok"] is True


def test_a_command_that_waited_at_the_broker_is_refused_and_not_done_hours_later(line: Line) -> None:
    line.take(Message(TOPICS.command("pause"), b'{"request_id": "1"}', False, was_kept=True))
    line.handler.serve()
    (reply,) = line.replies
    assert "send it again" in json.loads(reply.payload)["error"]
    assert line.handler.pause == ""


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"seq": 1}, 1),
        ({"seq": 2}, 0),
        ({"seq": 1, "boot_id": "before"}, 2),
        ({"seq": 9, "boot_id": "before"}, 0),
        ({"seq": 1, "boot_id": "another"}, None),
    ],
)
def test_a_run_of_which_nothing_is_kept_is_no_run_of_which_all_is_there(
    line: Line, asked: dict[str, Any], answer: int | None
) -> None:
    told = line.ask("resend", **asked)
    assert (told["ok"], (told["detail"] or {}).get("events")) == (answer is not None, answer)
    assert answer is not None or "no event of such a run of top is kept" in told["error"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("resend", {"time": "9999-12-31T23:59:59-14:00"})
@example("resend", {"time": "0001-01-01T00:00:00+14:00"})
@given(
    st.sampled_from([verb for verb in VERBS if verb != "snapshot"]),
    st.fixed_dictionaries(
        {},
        optional={
            "time": st.datetimes().map(lambda moment: f"{moment.isoformat()}-14:00"),
            "seq": st.integers(),
            "parts": st.integers() | st.booleans(),
            "by": st.text(max_size=70),
            "bundle": st.text(max_size=9),
        },
    ),
)
def test_whatever_is_asked_is_answered_once(line: Line, verb: str, keys: dict[str, Any]) -> None:
    assert line.ask(verb, **keys)["verb"] == verb
