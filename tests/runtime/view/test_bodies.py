"""What is sent to a station's page, by those who may and by those who may not: bounded, and answered in words."""

import http.client
import json
import urllib.parse
from collections.abc import Iterator

import pytest

from runtime.view.bodies import SHORT_BYTES
from tests.runtime.view.conftest import TOKEN, history
from tests.runtime.waiting import WAIT_S
from tests.runtime.web import post

pytestmark = pytest.mark.machine


@pytest.fixture
def mark(station: str) -> str:
    """Where a part is marked."""
    return f"{station}/events/{history(station, camera='top', verdict='all')[0]['id']}/mark"


@pytest.mark.parametrize(
    "said",
    [b'{"was": "good", "by": "\\ud800"}', b'{"was": NaN}', b'{"was": "good", "by": "Ada", "\\ud800": 1}'],
    ids=["half a character", "no number", "half a character as a key"],
)
def test_what_no_answer_can_hold_is_refused_in_words(mark: str, said: bytes) -> None:
    code, told = post(mark, said, Authorization=f"Bearer {TOKEN}", **{"Content-Type": "application/json"})
    assert (code, told["detail"][0]["loc"][0]) == (422, "body")


def test_what_was_sent_is_not_told_again(mark: str) -> None:
    said = json.dumps({"was": "good", "by": "x" * 60_000}).encode()
    code, told = post(mark, said, Authorization=f"Bearer {TOKEN}", **{"Content-Type": "application/json"})
    assert (code, len(json.dumps(told)) < 500) == (422, True)


@pytest.fixture
def line(station: str) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(station).netloc, timeout=WAIT_S)
    yield connection
    connection.close()


@pytest.mark.parametrize("token", [TOKEN, ""])
def test_a_mark_that_is_too_long_is_not_read_to_its_end(
    line: http.client.HTTPConnection, mark: str, token: str
) -> None:
    line.putrequest("POST", urllib.parse.urlsplit(mark).path)
    line.putheader("Content-Length", "1000000000")
    line.putheader("Content-Type", "application/json")
    line.putheader("Authorization", f"Bearer {token}")
    line.endheaders(b" " * (SHORT_BYTES + 1))
    assert line.getresponse().status == 413


@pytest.mark.parametrize(
    "path",
    [
        *("/healthz", "/readyz", "/metrics", "/", "/state.json", "/camera/top", "/camera/top/last/plain.jpg"),
        *("/history", "/history.json", "/openapi.json", "/docs", "/static/view.css", "/no-such-page"),
    ],
)
def test_monitors_may_ask_without_a_body(line: http.client.HTTPConnection, path: str) -> None:
    def ask(method: str) -> tuple[int, str | None, bytes]:
        line.request(method, path)
        answer = line.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()

    status, kind, body = ask("GET")
    assert ask("HEAD") == (status, kind, b"")
    assert (ask("GET")[0], body != b"") == (status, True), "nothing was left on the line"


def test_what_takes_only_what_is_sent_has_no_head(line: http.client.HTTPConnection, mark: str) -> None:
    line.request("HEAD", urllib.parse.urlsplit(mark).path)
    assert line.getresponse().status == 405
