"""What is wrong with a trigger is said in words for whoever sent it, and what is too old for any frame in the log."""

import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from runtime.commands.trigger_payload import LONGEST_BYTES
from runtime.commands.trigger_refusals import TriggerRefusals
from runtime.delivery.publisher import Publisher
from runtime.events.topics import Topics
from runtime.mqtt.message import Message, Outgoing
from runtime.threads.seldom import EVERY_S
from tests.runtime.commands.test_trigger_messages import NOW_AT_S, Desk, parse_trigger


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", 'no valid JSON; expected a JSON object, as in {"part_id": "4711"}'),
        (b"4711", 'expected a JSON object, as in {"part_id": "4711"}'),
        (b'{"PartId": "4711"}', "`part_id` is missing"),
        (b'{"part_id": null}', "`part_id`: it is empty; a text is needed"),
        (b'{"part_id": 47.5}', "`part_id`: it is read as float, not as text; put it in quotes"),
        *(
            (b'{"part_id": "4711", "time": %s}' % time, "`time`: expected a time with its zone, as in 2026")
            for time in (b"1795821600", b'"1795821600"', b'"2026-11-27T23:00:00"', b'"2026-02-30T23:00:00Z"', b'""')
        ),
    ],
)
def test_a_refusal_says_what_to_send_instead(payload: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_trigger(payload)


def test_one_that_is_too_long_is_refused_unread_and_its_answer_names_nothing_of_it() -> None:
    told = [json.dumps({"part_id": "4711", "more": "x" * (LONGEST_BYTES - room)}).encode() for room in (100, 0)]
    assert parse_trigger(told[0]).part_id == "4711"
    with pytest.raises(ValueError, match="trigger: longer than 65536 bytes"):
        parse_trigger(told[1])
    sent: list[Outgoing] = []
    refusals = TriggerRefusals(cast(Publisher, SimpleNamespace(send=sent.append)), Topics("p"))
    for payload in told:
        refusals.tell("top", Message("p/trigger/top", payload, False), "why", ())
    assert [json.loads(message.payload)["part_id"] for message in sent] == ["4711", None]


@pytest.mark.parametrize(("kept", "told"), [(False, 1), (True, 0)])
def test_a_trigger_by_a_clock_that_is_an_hour_behind_is_told_of_unless_a_broker_kept_it(
    caplog: pytest.LogCaptureFixture, kept: bool, told: int
) -> None:
    ago = datetime.fromtimestamp(NOW_AT_S - 3600, UTC).isoformat()
    Desk().hear(json.dumps({"part_id": "p", "time": ago}).encode(), was_kept=kept)
    assert caplog.text.count("set the clocks of both machines") == told


def test_a_key_that_was_meant_to_be_ours_is_told_of_once_and_the_part_is_judged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    for number in range(100):
        desk.hear(b'{"part_id": "%d", "jobId": "J-9", "attempt": 2}' % number)
        desk.clock.now_s += EVERY_S
    assert (desk.refused, desk.told) == (0, [])
    (told,) = [line for line in caplog.messages if "not read" in line]
    assert "key='jobId' remedy='did you mean `job_id`?'" in told


def test_keys_of_the_mes_own_are_nobodys_fault(caplog: pytest.LogCaptureFixture) -> None:
    Desk().hear(b'{"part_id": "4711", "job_id": "J-9", "job_nr": 9, "parts": 12, "attempt": 2}')
    assert caplog.text == ""


def test_a_sender_whose_triggers_are_all_wrong_takes_a_line_of_the_log_a_minute_and_all_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    ago = datetime.fromtimestamp(NOW_AT_S - 3600, UTC).isoformat()
    for number in range(100):
        desk.hear(b"{" + b" " * number)
        desk.hear(json.dumps({"part_id": str(number), "time": ago}).encode())
    assert (desk.refused, len(desk.told)) == (100, 100)
    assert (caplog.text.count("trigger refused"), caplog.text.count("too old")) == (1, 1)
    desk.clock.now_s += EVERY_S
    desk.hear(b"{")
    assert caplog.text.count("trigger refused") == 2
    assert "refused=101" in caplog.text
