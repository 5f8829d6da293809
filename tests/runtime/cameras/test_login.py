"""Logins of cameras over RTSP, basic and digest: whatever a password holds, it reaches the camera and no log."""

import base64
import logging
import re
from collections.abc import Callable
from hashlib import md5

import pytest

from runtime.cameras.settings import RtspSettings
from tests.runtime.scripted_rtsp import TICKS, Line, film, scripted_rtsp
from tests.runtime.waiting import wait_until
from tests.runtime.watcher import Watcher

ODD = 'a/b#c?d@e:f%2Fg "h\\\u00e9'
ASKS = {"basic": 'Basic realm="gate"', "digest": 'Digest realm="gate", nonce="once"'}


def sum_of(*words: str) -> str:
    return md5(":".join(words).encode(), usedforsecurity=False).hexdigest()


def is_right(verb: str, login: str, password: str) -> bool:
    if login.startswith("Basic "):
        return base64.b64decode(login[6:]).decode() == f"viewer:{password}"
    told = dict(re.findall(r'(\w+)="([^"]*)"', login))
    expected = sum_of(sum_of("viewer", "gate", password), "once", sum_of(verb, told.get("uri", "")))
    return told.get("response") == expected


def play(line: Line) -> None:
    units = film(20)
    for number in range(10**6):
        line.frame(units[number % len(units)], number * TICKS)


@pytest.mark.parametrize("kind", ASKS)
@pytest.mark.parametrize(("given", "is_let_in"), [(ODD, True), (ODD + "!", False), (None, False)])
def test_a_password_of_any_characters_reaches_the_camera_and_no_log(
    kind: str,
    given: str | None,
    is_let_in: bool,
    watch: Callable[..., Watcher],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = f"401 Unauthorized\r\nWWW-Authenticate: {ASKS[kind]}"
    with scripted_rtsp(play, refusal, lambda verb, login: verb == "OPTIONS" or is_right(verb, login, ODD)) as url:
        monkeypatch.setenv("CAMERA_PASSWORD", given or "")
        login = "" if given is None else "viewer:${CAMERA_PASSWORD}@"
        watcher = watch(RtspSettings(kind="rtsp", url=url.replace("://", f"://{login}")))
        wait_until(lambda: watcher.seen() > 0 or watcher.camera.status().reconnects > 0)
        assert (watcher.seen() > 0) is is_let_in
        assert is_let_in or "401 Unauthorized" in watcher.reason
        watcher.stop()
    assert "viewer" not in caplog.text + watcher.reason
    assert "a/b" not in caplog.text + watcher.reason
