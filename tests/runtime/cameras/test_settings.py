"""Addresses of cameras: a password may hold any characters, and is never shown."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import parse_settings
from core.errors import ConfigError
from runtime.cameras.camera import Camera
from runtime.cameras.opening import open_camera
from runtime.cameras.settings import HttpSettings, RtspSettings
from tests.runtime.waiting import wait_until


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://viewer:one/other@10.0.0.7/live",
        "rtsp://viewer:one#other@10.0.0.7/live",
        "rtsp://viewer:one?other@10.0.0.7/live",
        "rtsp://viewer:other@10.0.0.7/live",
        "rtsp://viewer:$$other@10.0.0.7/live",
        "rtsp://viewer:other${MORE}@10.0.0.7/live",
        "rtsp://10.0.0.7:0x50/live",
        "rtsp://10.0.0.7:70000/live",
        "rtsp://10.0.0.7:-4/live",
        "rtsp://[10.0.0.7/live",
        "rtsp:///live",
    ],
)
def test_an_address_that_is_none_or_holds_a_password_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="environment variable") as refused:
        parse_settings({"kind": "rtsp", "url": url}, RtspSettings, "inspection.yaml")
    assert "other" not in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=10))
def test_whatever_a_password_holds_the_address_stays_the_cameras(password: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAMERA_PASSWORD", password)
        settings = RtspSettings(kind="rtsp", url="rtsp://viewer:${CAMERA_PASSWORD}@10.0.0.7:8554/live?channel=1")
        address = urlsplit(settings.address())
    assert (address.hostname, address.port, address.path, address.query) == ("10.0.0.7", 8554, "/live", "channel=1")
    assert unquote(address.password or "") == password


def test_a_variable_may_be_the_host_and_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "10.0.0.8:9000")
    monkeypatch.setenv("PORT", "9001")
    assert RtspSettings(kind="rtsp", url="rtsp://${PLACE}/live").address() == "rtsp://10.0.0.8:9000/live"
    assert RtspSettings(kind="rtsp", url="rtsp://h:$PORT/live").address() == "rtsp://h:9001/live"
    with pytest.raises(ConfigError, match=r"camera at 10\.0\.0\.7: the environment variable 'NOT_SET'"):
        RtspSettings(kind="rtsp", url="rtsp://v:${NOT_SET}@10.0.0.7/live").address()
    monkeypatch.setenv("NOTHING", "")
    with pytest.raises(ConfigError, match="'NOTHING' is not set, or empty"):
        RtspSettings(kind="rtsp", url="rtsp://v:${NOTHING}@10.0.0.7/live").address()


def test_a_login_that_would_not_reach_the_camera_whole_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for password, taken in (("b" * 120, True), ("b" * 121, False), ("@" * 40, True), ("@" * 41, False)):
        monkeypatch.setenv("CAMERA_PASSWORD", password)
        for scheme, settings in (("rtsp", RtspSettings), ("http", HttpSettings)):
            url = f"{scheme}://viewer:${{CAMERA_PASSWORD}}@10.0.0.7/v"
            camera = settings.model_validate({"kind": scheme, "url": url})
            if taken or scheme == "http":
                assert unquote(urlsplit(camera.address()).password or "") == password
                continue
            with pytest.raises(ConfigError, match=r"camera at 10\.0\.0\.7: user and password are longer") as refused:
                camera.address()
            assert password not in str(refused.value)


def reason_of(camera: Camera) -> str:
    """Why it cannot be opened."""
    stopping = threading.Event()
    thread = threading.Thread(target=lambda: list(camera.frames(stopping)), daemon=True)
    thread.start()

    def reason() -> str:
        status = camera.status()
        assert status is not None
        return status.reason if status.reconnects else ""

    wait_until(lambda: bool(reason()))
    told = reason()
    stopping.set()
    thread.join()
    camera.close()
    return told


@pytest.mark.parametrize("place", ["10.0.0.7:hidden", "", "a..b", "x" * 80])
def test_a_variable_that_is_no_address_is_told_and_not_shown(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("PLACE", place)
    camera = open_camera("top", RtspSettings(kind="rtsp", url="rtsp://${PLACE}/live", timeout_s=0.5))
    assert "cannot be opened" in (reason := reason_of(camera))
    assert "hidden" not in reason


def test_a_login_with_odd_characters_reaches_the_camera_and_stays_out_of_what_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    password, seen = "a/b#c?d@e:f%2Fg", []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        monkeypatch.setenv("CAMERA_PASSWORD", password)
        url = f"http://viewer:${{CAMERA_PASSWORD}}@127.0.0.1:{server.server_port}/video"
        reason = reason_of(open_camera("top", HttpSettings(kind="http", url=url, timeout_s=2)))
        server.shutdown()
    assert "Basic " + base64.b64encode(f"viewer:{password}".encode()).decode() in seen
    assert "401" in reason
    assert "a/b" not in reason
    assert "viewer" not in reason
