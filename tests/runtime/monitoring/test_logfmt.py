"""Log lines: one line each, as logfmt."""

import logging

from runtime.monitoring.logfmt import Logfmt


def line(message: str, *arguments: object) -> str:
    record = logging.LogRecord("runtime.delivery.publisher", logging.WARNING, "", 0, message, arguments, None)
    record.created = 1795471507.12
    return Logfmt().format(record)


HEAD = "time=2026-11-23T22:05:07.120Z level=warning from=runtime.delivery.publisher"


def test_words_become_the_message_and_pairs_stay_pairs() -> None:
    found = line("broker unreachable reason=%r waiting=%d", "Connection refused", 3)
    assert found == f'{HEAD} msg="broker unreachable" reason="Connection refused" waiting=3'


def test_a_plain_message_is_quoted() -> None:
    assert line('it said "no"') == f'{HEAD} msg="it said \\"no\\""'


def test_what_strangers_are_called_steers_no_terminal_and_turns_no_text_around() -> None:
    found = line("judging %s key=%s", "paused by A\x1b[2Jd\0a\u202eB\u200f\x85", "\x07")
    assert found == f'{HEAD} msg="judging paused by A\\\\x1b[2Jd\\\\x00a\\\\u202eB\\\\u200f" key=\\x07'
    assert line("Ölpumpe, 中") == f'{HEAD} msg="Ölpumpe, 中"'


def test_several_lines_become_one() -> None:
    assert "\n" not in line("first\nsecond key=1")
