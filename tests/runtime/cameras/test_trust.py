"""Cameras over https:// and rtsps://: only one that is trusted, under the name in its certificate, is judged."""

import os
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from core.config import parse_settings
from core.errors import CameraError, ConfigError
from runtime.cameras.camera import CameraState
from runtime.cameras.check import check_camera
from runtime.cameras.opening import open_camera
from runtime.cameras.settings import HttpSettings, RtspSettings
from runtime.cameras.streams.video_stream import VideoStream
from tests.runtime.broker import free_port
from tests.runtime.cameras.test_http import answering
from tests.runtime.certificates import behind_tls, make_certificates
from tests.runtime.servers import MjpegServer, RtspServer
from tests.runtime.waiting import wait_until
from tests.runtime.watcher import Watcher

Watch = Callable[..., Watcher]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def https(port: int, host: str = "localhost", ca_file: Path | None = None) -> HttpSettings:
    return HttpSettings(kind="http", url=f"https://{host}:{port}/video.mjpg", ca_file=ca_file)


def was_refused(watcher: Watcher) -> bool:
    return watcher.camera.status().reconnects > 0


REFUSED = {
    "signed by itself": ("own", None, "localhost", "self-signed certificate; save it (`openssl s_client"),
    "of another CA": (
        "signed",
        None,
        "localhost",
        "name the certificate of the CA that signed it, or the camera's, in `ca_file`",
    ),
    "of another camera": ("own", "signed", "localhost", "not trusted"),
    "of another name": ("signed", "ca", "127.0.0.1", "write a name from the certificate into `url` (`openssl s_client"),
    "expired": ("expired", "ca", "localhost", "expired; have it renewed, or set this machine's clock"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_camera_with_a_certificate_that_is_not_trusted_is_not_judged_and_says_what_to_do(
    kind: str, certificates: Path, mjpeg: MjpegServer, watch: Watch
) -> None:
    shown, trusted, host, words = REFUSED[kind]
    with behind_tls(mjpeg.port, certificates / f"{shown}.crt") as port:
        watcher = watch(https(port, host, certificates / f"{trusted}.crt" if trusted else None))
        wait_until(lambda: was_refused(watcher))
        state, reason = watcher.state, watcher.reason
        watcher.stop()
    assert (state, watcher.seen()) == (CameraState.RECONNECTING, 0)
    assert "certificate" in reason
    assert words in reason
    assert "\n" not in reason


def test_the_doctor_says_so_too(certificates: Path, mjpeg: MjpegServer) -> None:
    with (
        behind_tls(mjpeg.port, certificates / "own.crt") as port,
        pytest.raises(
            CameraError,
            match=r"^camera top: no frame \(.*self-signed.* `ca_file`\)\); where that names no remedy, .*\.$",
        ),
    ):
        check_camera("top", https(port))


@pytest.mark.parametrize(("shown", "trusted"), [("own", "own"), ("signed", "ca"), ("signed", "signed")])
def test_a_camera_is_judged_with_its_own_certificate_or_its_ca_s(
    shown: str, trusted: str, certificates: Path, mjpeg: MjpegServer, watch: Watch
) -> None:
    with behind_tls(mjpeg.port, certificates / f"{shown}.crt") as port:
        watcher = watch(https(port, ca_file=certificates / f"{trusted}.crt"))
        wait_until(lambda: watcher.seen() > 2)
        watcher.stop()


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_camera_is_asked_directly_whatever_proxy_the_environment_names(
    is_encrypted: bool, certificates: Path, mjpeg: MjpegServer, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with behind_tls(mjpeg.port, certificates / "own.crt") as port:
        encrypted = https(port, ca_file=certificates / "own.crt")
        watcher = watch(encrypted if is_encrypted else HttpSettings(kind="http", url=mjpeg.url))
        wait_until(lambda: watcher.seen() > 2)
        watcher.stop()


def test_a_new_certificate_needs_no_restart(
    certificates: Path, mjpeg: MjpegServer, watch: Watch, tmp_path: Path
) -> None:
    file = tmp_path / "camera.crt"
    file.write_bytes((certificates / "ca.crt").read_bytes())
    with behind_tls(mjpeg.port, certificates / "own.crt") as port:
        watcher = watch(https(port, ca_file=file))
        wait_until(lambda: was_refused(watcher))
        file.write_bytes((certificates / "own.crt").read_bytes())
        wait_until(lambda: watcher.seen() > 2)
        watcher.stop()


def test_without_a_file_the_system_s_certificates_count(
    certificates: Path, mjpeg: MjpegServer, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, os.fspath(certificates / "ca.crt"))
    with behind_tls(mjpeg.port, certificates / "signed.crt") as port:
        watcher = watch(https(port))
        wait_until(lambda: watcher.seen() > 2)
        watcher.stop()


def test_rtsp_is_trusted_alike(certificates: Path, rtsp: RtspServer, watch: Watch) -> None:
    with behind_tls(rtsp.port, certificates / "own.crt") as port:
        url = rtsp.url.replace(f"rtsp://127.0.0.1:{rtsp.port}", f"rtsps://localhost:{port}")
        stranger = watch(RtspSettings(kind="rtsp", url=url))
        known = watch(RtspSettings(kind="rtsp", url=url, ca_file=certificates / "own.crt"))
        wait_until(lambda: was_refused(stranger) and known.seen() > 2)
        reason = stranger.reason
        known.stop()
        stranger.stop()
    assert "self-signed certificate" in reason
    assert stranger.seen() == 0


def test_ffmpeg_refuses_by_itself_too(
    certificates: Path, mjpeg: MjpegServer, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection that is looked at before is another one than FFMPEG's."""
    monkeypatch.setattr("runtime.cameras.opening.require_trusted", lambda *_: None)
    for shown, host in (("own", "localhost"), ("signed", "127.0.0.1")):
        with behind_tls(mjpeg.port, certificates / f"{shown}.crt") as port:
            watcher = watch(https(port, host, certificates / "ca.crt"))
            wait_until(partial(was_refused, watcher))
            watcher.stop()
        assert watcher.seen() == 0


def test_whom_a_camera_leads_on_to_has_to_be_trusted_too(certificates: Path, mjpeg: MjpegServer, watch: Watch) -> None:
    with behind_tls(mjpeg.port, certificates / "own.crt") as port:
        to = f"HTTP/1.1 302 Found\r\nLocation: https://localhost:{port}/\r\nContent-Length: 0\r\n\r\n".encode()
        with answering(lambda send: send(to)) as url:
            VideoStream(url, timeout_s=10).release()  # nothing else is wrong with it
            watcher = watch(HttpSettings(kind="http", url=url))
            wait_until(lambda: was_refused(watcher))
            reason = watcher.reason
            watcher.stop()
    assert watcher.seen() == 0
    assert "if it leads on to another address, write that into `url`" in reason


def test_a_port_without_tls_is_told(mjpeg: MjpegServer, watch: Watch) -> None:
    watcher = watch(https(mjpeg.port))
    wait_until(lambda: was_refused(watcher))
    reason = watcher.reason
    watcher.stop()
    assert "check the port in `url`" in reason


@pytest.mark.timeout(20)
@pytest.mark.parametrize("file", ["missing.crt", "none.crt", "pipe.crt"])
def test_a_file_without_certificates_is_refused_at_the_start(file: str, certificates: Path) -> None:
    with pytest.raises(ConfigError, match=rf"camera top: its ca_file .*{file} cannot be used"):
        open_camera("top", https(443, ca_file=certificates / file))


def test_a_file_for_what_is_not_encrypted_is_refused() -> None:
    with pytest.raises(ConfigError, match="`ca_file` is for https:// and rtsps://"):
        parse_settings({"kind": "http", "url": "http://camera/", "ca_file": "ca.crt"}, HttpSettings, "inspection.yaml")
