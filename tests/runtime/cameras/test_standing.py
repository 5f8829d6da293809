"""What the log says of a live camera: when its state changes, and each reason of an outage once."""

import logging
from collections.abc import Callable

import pytest

from runtime.cameras.camera import CameraState
from runtime.cameras.settings import HttpSettings
from runtime.cameras.standing import Standing
from tests.runtime.broker import free_port
from tests.runtime.waiting import wait_until
from tests.runtime.watcher import Watcher


def test_each_reason_of_an_outage_is_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    standing = Standing("top")
    standing.is_open()
    for reason in ("it ended", "refused", "no login", "refused", "no login"):
        standing.change(CameraState.RECONNECTING, reason)
    standing.change(CameraState.STREAMING, "")
    standing.change(CameraState.STREAMING, "")
    standing.change(CameraState.RECONNECTING, "refused")
    reasons = ["it ended", "refused", "no login", "", "refused"]
    assert [record.getMessage().partition("reason=")[2] for record in caplog.records] == list(map(repr, reasons))
    assert [record.levelno == logging.WARNING for record in caplog.records] == [True, True, True, False, True]


def test_a_camera_that_was_never_there_is_told(watch: Callable[..., Watcher], caplog: pytest.LogCaptureFixture) -> None:
    watcher = watch(HttpSettings(kind="http", url=f"http://127.0.0.1:{free_port()}/x.mjpg"))
    wait_until(lambda: watcher.camera.status().reconnects >= 3)
    (said,) = [record.getMessage() for record in caplog.records if "camera reconnecting" in record.getMessage()]
    assert "cannot be opened (Connection refused)" in said
