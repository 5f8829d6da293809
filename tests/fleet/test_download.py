import errno
import hashlib
import http.client
import os
import shutil
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from core.errors import ArtifactError, ConfigError
from fleet.download import TIMEOUT_S, TRIES, fetch
from fleet.order import Package
from tests.fleet.https_server import HttpsServer, write_certificates
from tests.full_disk import full_disk
from tests.runtime.broker import free_port
from tests.runtime.waiting import WAIT_S

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def package(server: HttpsServer) -> Package:
    server.files = {"p.zip": CONTENT}
    server.redirects, server.ranges, server.cuts, server.odd = {}, [], 0, None
    return Package(sha256=SHA256, url=server.url("p.zip"))


def get(package: Package, server: HttpsServer, file: Path, max_bytes: int = 10_000_000, ca: Path | None = None) -> None:
    fetch(package, file, ca or server.ca_file, max_bytes, wait=lambda _seconds: None)


def test_what_was_cut_is_resumed_where_it_was(package: Package, server: HttpsServer, tmp_path: Path) -> None:
    server.cuts, server.cut_after = 2, 300_000
    get(package, server, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-"]
    assert [file.name for file in tmp_path.iterdir()] == ["p"]


def test_a_network_that_fails_in_the_middle_is_no_full_disk(
    package: Package, server: HttpsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, failed = http.client.HTTPResponse.read1, list[int]()

    def fails_once(answer: http.client.HTTPResponse, amount: int) -> bytes:
        if not failed:
            failed.append(amount)
            raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
        return read(answer, amount)

    monkeypatch.setattr(http.client.HTTPResponse, "read1", fails_once)
    get(package, server, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == CONTENT


def test_a_network_that_fails_before_the_answer_is_no_full_disk(
    package: Package, server: HttpsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_answer: http.client.HTTPResponse) -> None:
        raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))

    monkeypatch.setattr(http.client.HTTPResponse, "begin", fails)
    with pytest.raises(ArtifactError, match=f"the connection was cut .*No route to host.*{TRIES} times"):
        get(package, server, tmp_path / "p")


class _WantedNoMoreError(Exception):
    pass


def test_a_fetch_that_is_wanted_no_more_ends_among_bytes_that_trickle(
    package: Package, server: HttpsServer, tmp_path: Path
) -> None:
    is_enough = threading.Event()

    def trickle(request: BaseHTTPRequestHandler) -> None:
        said(request, f"200 OK\r\nContent-Length: {len(CONTENT)}")
        with suppress(OSError):
            while not is_enough.wait(0.01):
                request.wfile.write(b".")

    server.odd, waits = trickle, list[float]()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 3:
            raise _WantedNoMoreError

    try:
        with pytest.raises(_WantedNoMoreError):
            fetch(package, tmp_path / "p", server.ca_file, 10_000_000, wait)
    finally:
        is_enough.set()
    assert [file.name for file in tmp_path.iterdir()] == ["p.part"], "another try goes on there"


@pytest.mark.parametrize("head", ["", "200 OK\r\nContent-Length: 2000000"])
def test_a_fetch_that_is_wanted_no_more_ends_soon_at_a_server_that_says_nothing(
    package: Package, server: HttpsServer, tmp_path: Path, head: str
) -> None:
    is_enough, is_asked = threading.Event(), threading.Event()

    def fall_silent(request: BaseHTTPRequestHandler) -> None:
        if head:
            said(request, head)
        is_asked.set()
        is_enough.wait(WAIT_S)

    def wait(_seconds: float) -> None:
        if is_asked.is_set():
            raise _WantedNoMoreError

    server.odd, started_s = fall_silent, time.monotonic()
    try:
        with pytest.raises(_WantedNoMoreError):
            fetch(package, tmp_path / "p", server.ca_file, 10_000_000, wait)
        assert time.monotonic() - started_s < TIMEOUT_S / 2
    finally:
        is_enough.set()


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("200 OK\r\nContent-Length: 2000000", "was cut after 1,024,000 of 2,000,000 bytes, 5 times"),
        ("200 OK\r\nContent-Length: 1000", "its sha256 is .*, not .* as ordered; not used"),
        ("200 OK\r\nContent-Length: \u00b2", ""),
        ("200 OK\r\nContent-Length: -5", ""),
        ("200 OK\r\nTransfer-Encoding: chunked", "the connection was cut .*, 5 times"),
        ("206 Partial Content\r\nContent-Range: bytes 7-9/10", "another part than was asked for, 5 times"),
        ("416 No", "another part than was asked for, 5 times"),
        ("302 Found\r\nLocation: https://[oh/", r"leads to no address .Invalid IPv6 URL.; not followed"),
        ("302 Found\r\nLocation: /x\u00ff", "the server answers 302 The HTTP server returned a redirect error"),
        ("302 Found\r\nLocation: /p.zip", "finite loop. The last 30x error message was: Found"),
        ("404 Not\x1b[2J there", r"the server answers 404 Not\\x1b.2J there"),
        ("nonsense", ""),
    ],
)
def test_a_server_that_lies_is_told_and_nothing_of_it_stays(
    package: Package, server: HttpsServer, tmp_path: Path, head: str, told: str
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        said(request, head)
        with suppress(OSError):
            request.wfile.write(CONTENT)

    server.odd = answer
    if told:
        with pytest.raises(ArtifactError, match=told):
            get(package, server, tmp_path / "p")
        assert not [each for each in tmp_path.iterdir() if each.name != "p.part"]
    else:  # who gives no length that can be read gives all that comes
        with suppress(ArtifactError):
            get(package, server, tmp_path / "p")


def said(request: BaseHTTPRequestHandler, head: str) -> None:
    request.wfile.write(f"HTTP/1.1 {head}\r\n\r\n".encode("latin-1"))


@pytest.mark.parametrize("left", [b"of another file", b"x" * 2_000_000])
def test_what_was_left_of_another_file_is_fetched_anew(
    package: Package, server: HttpsServer, tmp_path: Path, left: bytes
) -> None:
    (tmp_path / "p.part").write_bytes(left)
    get(package, server, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == CONTENT


def test_another_hash_is_refused_and_nothing_of_it_stays(package: Package, server: HttpsServer, tmp_path: Path) -> None:
    server.files["p.zip"] = CONTENT[:-1] + b"!"
    with pytest.raises(ArtifactError, match=f"not {SHA256} as ordered"):
        get(package, server, tmp_path / "p")
    assert not [*tmp_path.iterdir()]


def test_what_is_larger_than_allowed_is_not_fetched(package: Package, server: HttpsServer, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="larger than the 1,000,000 bytes"):
        get(package, server, tmp_path / "p", max_bytes=1_000_000)
    assert not [*tmp_path.iterdir()]


def test_what_finds_no_room_leaves_nothing(package: Package, server: HttpsServer, tmp_path: Path) -> None:
    with full_disk(500_000), pytest.raises(ArtifactError, match="cannot be kept .File too large.; make room"):
        get(package, server, tmp_path / "p")
    assert not [*tmp_path.iterdir()]


def test_a_package_that_would_take_the_station_s_room_is_not_fetched(
    package: Package, server: HttpsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = shutil.disk_usage(tmp_path)._replace(free=3 * len(CONTENT) - 1)
    monkeypatch.setattr("fleet.download.shutil.disk_usage", lambda _folder: left)
    with pytest.raises(ArtifactError, match="3 MB have to be free: 3 times its size.; make room"):
        get(package, server, tmp_path / "p")
    assert not [*tmp_path.iterdir()]


def test_a_stranger_s_certificate_is_not_trusted(package: Package, server: HttpsServer, tmp_path: Path) -> None:
    write_certificates(tmp_path, tmp_path / "other.pem")
    with pytest.raises(ArtifactError, match="certificate not trusted"):
        get(package, server, tmp_path / "p", ca=tmp_path / "other.pem")
    os.mkfifo(tmp_path / "pipe")
    for no_file in ("absent.pem", "pipe"):
        with pytest.raises(ConfigError, match="ca_file"):
            get(package, server, tmp_path / "p", ca=tmp_path / no_file)


def test_nothing_but_https_is_asked_or_followed(package: Package, server: HttpsServer, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="over https alone"):
        get(package.model_copy(update={"url": "http://127.0.0.1/p.zip"}), server, tmp_path / "p")
    for elsewhere in ("http://127.0.0.1/p.zip", "file:///etc/passwd"):
        server.redirects["p.zip"] = elsewhere
        with pytest.raises(ArtifactError, match="something else than https|answers 302"):
            get(package, server, tmp_path / "p")


def test_a_server_that_is_away_or_has_it_not_is_told(package: Package, server: HttpsServer, tmp_path: Path) -> None:
    away = package.model_copy(update={"url": f"https://127.0.0.1:{free_port()}/p.zip"})
    with pytest.raises(ArtifactError, match=f"cannot be reached .*{TRIES} times"):
        get(away, server, tmp_path / "p")
    with pytest.raises(ArtifactError, match="answers 404"):
        get(package.model_copy(update={"url": server.url("other.zip")}), server, tmp_path / "p")
