"""Commands as bytes from strangers: read, or refused in words."""

import json
from dataclasses import replace
from itertools import chain
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from runtime.commands.command import (
    KEYS_OF,
    LONGEST_BYTES,
    MOST_A_SECOND,
    OF_ALL,
    Command,
    Rate,
    parse,
    reply,
    request_id_of,
)
from runtime.commands.trigger_payload import read_payload
from runtime.mqtt.message import Message
from runtime.settings import Verb
from tests.runtime.contract import validator

TEXT = st.text(st.characters(codec=None, exclude_categories=[]))
"""With lone surrogates, which JSON can write and no text can hold."""
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
)
KEYS = st.fixed_dictionaries({}, optional=dict.fromkeys(("request_id", "by", "camera", "bundle", "parts"), JSON))


def command(payload: bytes, verb: str = "pause") -> Message:
    return Message(f"plant/cmd/{verb}", payload, False)


@given(st.binary() | (JSON | KEYS).map(lambda content: json.dumps(content).encode()))
def test_whatever_comes_is_read_or_refused_and_can_be_answered(payload: bytes) -> None:
    message = command(payload)
    try:
        parse(message)
        error = None
    except ConfigError as refusal:
        error = str(refusal)
    told = json.loads(reply(message, "plant/cmd_reply", error=error).payload)
    assert told["ok"] is (error is None)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[" * 2000,
        b"\xff\xfe",
        b'{"request_id": ""}',
        b'{"request_id": "1", "bundle": "../../etc"}',
        b'{"request_id": "1", "bundle": ".."}',
        b'{"request_id": "1", "parts": 0}',
        b'{"request_id": "1", "camera": "a/b"}',
        b'{"request_id": "1", "unknown": 1}',
        b'{"request_id": "\\ud800"}',
        b'{"request_id": "1", "\\udfff": 1}',
        b'{"request_id": "1", "by": "\\ud83d"}',
        b'{"request_id": "' + b"1" * LONGEST_BYTES + b'"}',
    ],
)
def test_what_is_no_command_is_refused(payload: bytes) -> None:
    with pytest.raises(ConfigError, match="^pause: "):
        parse(command(payload))


def test_of_one_that_is_too_long_nothing_is_read_not_even_for_its_answer() -> None:
    message = command(b'{"request_id": "1", "by": "' + b"x" * LONGEST_BYTES + b'"}')
    with pytest.raises(ConfigError, match="longer than 4096 bytes"):
        parse(message)
    assert request_id_of(message) is None


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "no valid JSON; expected a JSON object, as in"),
        (b"[1]", "pause: expected a JSON object, as in"),
        (b'{"request_id": ""}', "`request_id`: it is empty; a text is needed"),
        (b'{"request_id": 1.5}', "`request_id`: it is read as float, not as text; put it in quotes"),
        (b'{"request_id": "1", "bundle": "bundles/cell-2"}', "`bundle`: it has to be as in my-part-8"),
        (b'{"request_id": "1", "job_id": "' + b"x" * 300 + b'"}', "`job_id`: it has more than 256 characters"),
    ],
)
def test_a_refusal_speaks_of_json_and_characters(payload: bytes, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(command(payload))
    assert words in str(refusal.value)
    assert "YAML" not in str(refusal.value)


def test_a_whole_number_is_taken_as_text_and_comes_back_in_the_reply() -> None:
    asked = {"request_id": 17, "by": 4711, "boot_id": 5, "job_id": 9}
    validator("command").validate(asked)
    message = command(json.dumps(asked).encode())
    read = parse(message)
    assert (read.request_id, read.by, read.boot_id, read.job_id) == ("17", "4711", "5", "9")
    assert json.loads(reply(message, "plant/cmd_reply").payload)["request_id"] == "17"


def test_an_empty_text_in_a_trigger_counts_as_left_out_but_the_part_has_to_be_named() -> None:
    told = read_payload(b'{"part_id":"1","job_id":"","recipe":"","id":""}')
    assert (told.job_id, told.recipe, told.id) == (None, None, None)
    with pytest.raises(ValueError, match="part_id`: it is empty; a text is needed"):
        read_payload(b'{"part_id":""}')


def test_an_empty_text_of_a_job_counts_as_left_out() -> None:
    asked = {"request_id": "1", "job_id": "J-9", "recipe": "", "batch": "", "operator": ""}
    validator("command").validate(asked)
    told = parse(Message("s/cmd/job", json.dumps(asked).encode(), False))
    assert (told.job_id, told.recipe, told.batch, told.operator) == ("J-9", None, None, None)


@pytest.mark.parametrize("time", [1795821600, "1795821600", "2026-11-27", "2026-11-27T23:00:00"])
def test_a_time_has_its_zone_and_is_no_number(time: object) -> None:
    with pytest.raises(ConfigError, match="`time`: expected a time with its zone, as in 2026"):
        parse(Message("s/cmd/resend", json.dumps({"request_id": "1", "time": time}).encode(), False))


def test_the_schema_takes_what_we_take() -> None:
    whole = {"request_id": "7", "by": "Ada", "camera": "top", "bundle": "cell-2.bundle", "parts": 100}
    whole |= {"force": True, "dry_run": True, "marked": True, "reset": False}
    whole |= {"seq": 7, "boot_id": "b", "time": "2026-11-23T22:05:07Z"}
    whole |= {"job_id": "J-9", "recipe": "blue", "batch": "7", "operator": "Ada"}
    validator("command").validate(whole)
    assert parse(command(json.dumps(whole).encode())).model_dump(mode="json") == whole


def test_a_reply_goes_where_it_is_waited_for() -> None:
    asked = Message("plant/cmd/pause", b'{"request_id": "7"}', False, "mes/answers", b"\x01\x02")
    answer = reply(asked, "plant/cmd_reply", detail={"paused": True})
    assert (answer.topic, answer.correlation) == ("mes/answers", b"\x01\x02")
    assert request_id_of(asked) == "7"
    assert reply(command(b"{}"), "plant/cmd_reply").topic == "plant/cmd_reply"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "#",
        "mes/+/answers",
        "$SYS/broker",
        "mes/\0",
        "m" * 2000,
        "plant",
        "plant/cmd/pause",
        "plant/camera/top/result",
    ],
)
def test_an_answer_goes_to_no_topic_that_is_none_or_ours(topic: str) -> None:
    asked = Message("plant/cmd/pause", b'{"request_id": "7"}', False, topic, b"\x01")
    with pytest.raises(ConfigError, match="nothing was done"):
        parse(asked)
    assert reply(asked, "plant/cmd_reply", error="x").topic == "plant/cmd_reply"


@given(TEXT)
def test_whatever_response_topic_comes_the_answer_can_be_published(topic: str) -> None:
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    answer = reply(Message("plant/cmd/pause", b"", False, topic), "plant/cmd_reply", error="x")
    paho.Client(CallbackAPIVersion.VERSION2).publish(answer.topic, answer.payload, 1)


def test_only_so_many_a_second_are_heard_and_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [5.0]
    rate = Rate(lambda: now_s[0])
    for second in range(1, 4):
        assert [rate.is_exceeded() for _ in range(3 * MOST_A_SECOND)].count(False) == MOST_A_SECOND
        assert caplog.text.count("commands a second") == second
        now_s[0] += 1.0
    assert not any(rate.is_exceeded() for _ in range(MOST_A_SECOND))
    assert caplog.text.count("commands a second") == 3


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="'by' appears twice"):
        parse(Message("s/cmd/pause", b'{"request_id":"1","by":"a","by":"b"}', False))
    with pytest.raises(ValueError, match="'part_id' appears twice"):
        read_payload(b'{"part_id":"1","part_id":"2"}')


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("resend", "valid keys here: boot_id, by, camera, request_id, seq, time."),
        ("pause", "valid keys here: by, request_id."),
    ],
)
def test_a_key_that_no_command_has_is_refused_with_those_that_this_one_has(verb: str, told: str) -> None:
    message = Message(f"plant/cmd/{verb}", b'{"request_id": "1", "shelf": 3}', False)
    with pytest.raises(ConfigError, match=f"{verb}: unknown key `shelf`: {told}"):
        parse(message)
    with pytest.raises(ConfigError, match="unknown key `request`: did you mean `request_id`?"):
        parse(replace(message, payload=b'{"request": "1"}'))


def test_the_keys_of_all_verbs_are_those_of_a_command() -> None:
    assert {*OF_ALL, *chain(*KEYS_OF.values())} == Command.model_fields.keys()
    assert KEYS_OF.keys() < set(get_args(Verb))
