"""Cameras over HTTP that send odd things: what is a picture is judged, what is none is told, and memory is bounded."""

import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import av
import cv2
import pytest

from core.pictures import ffmpeg
from runtime.cameras.settings import HttpSettings
from runtime.cameras.streams.video_stream import VideoStream
from runtime.parts.verdict import Reason
from tests.runtime.pictures import good_picture
from tests.runtime.waiting import wait_until
from tests.runtime.watcher import Watcher

Send = Callable[[bytes], None]
OK = "HTTP/1.1 200 OK\r\n"
PARTS = OK + "Content-Type: multipart/x-mixed-replace; boundary=frame\r\n"
FIELDS = "Content-Type: image/jpeg\r\n"
PIECE = bytes(2**20)


def memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@cache
def jpeg(number: int) -> bytes:
    return cv2.imencode(".jpg", good_picture(number, (96, 96)))[1].tobytes()


def part(picture: bytes, fields: str = FIELDS, line: str = "\r\n") -> bytes:
    length = f"Content-Length: {len(picture)}{line}" if fields == FIELDS else ""
    return f"--frame{line}{fields}{length}{line}".replace("\r\n", line).encode() + picture + line.encode()


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@contextmanager
def answering(script: Callable[[Send], None]) -> Iterator[str]:
    """Give the URL of a server that answers each request as `script` does, until the camera hangs up."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
            self.request.recv(2**16)
            with suppress(OSError):
                script(self.request.sendall)

    class Server(ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/video.mjpg"
    server.shutdown()
    server.server_close()


def show(send: Send, head: str, encode: Callable[[bytes], bytes]) -> None:
    send(f"{head}\r\n".encode())
    for number in range(10**6):
        send(encode(jpeg(number % 8)))
        time.sleep(0.0005)  # else both ends keep a core busy with pictures that nobody looks at


def watched(watch: Callable[..., Watcher], url: str) -> Watcher:
    return watch(HttpSettings(kind="http", url=url))


@pytest.fixture
def most_bytes() -> Iterator[int]:
    """A quarter of what is else allowed: to send that twice takes a quarter of the time."""
    fewer = ffmpeg.MOST_BYTES // 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ffmpeg, "MOST_BYTES", fewer)
        yield fewer
    ffmpeg.bound_memory()


@pytest.mark.parametrize("length", ["Content-Length: 2000000000\r\n", ""], ids=["claimed", "endless"])
@pytest.mark.parametrize("before", [0, 10])
def test_a_picture_of_2_gb_does_not_get_them(length: str, before: int, most_bytes: int) -> None:
    begun_bytes = taken_bytes = memory_bytes()

    def script(send: Send) -> None:
        nonlocal taken_bytes
        send(f"{PARTS}\r\n".encode() + b"".join(part(jpeg(number)) for number in range(before)))
        send(f"--frame\r\n{FIELDS}{length}\r\n".encode())
        for _ in range(2 * most_bytes // len(PIECE)):
            send(PIECE)
            taken_bytes = max(taken_bytes, memory_bytes())

    pictures = 0
    with answering(script) as url:
        stream = VideoStream(url, timeout_s=60)
        with suppress(MemoryError):
            while stream.grab():
                pictures += stream.retrieve()[0]
        stream.release()
    assert pictures == before
    assert taken_bytes - begun_bytes < 1.3 * most_bytes


ODD: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "boundary in quotes": (PARTS.replace("frame", '"frame"'), part),
    "another boundary": (PARTS.replace("frame", "other"), part),
    "no boundary": (PARTS.replace("; boundary=frame", ""), part),
    "no type": (OK, part),
    "no length": (PARTS, partial(part, fields=FIELDS + "X: 1\r\n")),
    "length 0": (PARTS, partial(part, fields=FIELDS + "Content-Length: 0\r\n")),
    "plain line feeds": (PARTS, partial(part, line="\n")),
    "chunks": (
        PARTS + "Transfer-Encoding: chunked\r\n",
        lambda picture: chunk(part(picture)[:99]) + chunk(part(picture)[99:]),
    ),
}


def typed(line: str, picture: bytes) -> bytes:
    return f"--frame\r\n{line}Content-Length: {len(picture)}\r\n\r\n".encode() + picture + b"\r\n"


ODD |= {
    f"{kind} in {where}": (head, partial(typed, line))
    for where, head in (("parts", PARTS), ("a body without type", OK))
    for kind, line in {
        "image/jpg": "Content-Type: image/jpg\r\n",
        "image/pjpeg": "CONTENT-TYPE:image/pjpeg\r\n",
        "a type with more": "Content-type: image/jpeg; charset=binary\r\n",
        "bytes": "Content-Type: application/octet-stream\r\n",
        "no type": "",
    }.items()
}


@pytest.mark.parametrize("kind", ODD)
def test_pictures_are_read_however_the_server_words_them(kind: str, watch: Callable[..., Watcher]) -> None:
    with answering(partial(show, head=ODD[kind][0], encode=ODD[kind][1])) as url:
        watcher = watched(watch, url)
        wait_until(lambda: watcher.seen() > 3)
        watcher.stop()
    assert watcher.faults() == []


def of_size(picture: bytes, side: int) -> bytes:
    at = picture.index(b"\xff\xc0") + 5
    return picture[:at] + struct.pack(">HH", side, side) + picture[at + 4 :]


NO_PICTURE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda picture: part(picture[:-60]),
    "cut, of image/jpg": lambda picture: typed("Content-Type: image/jpg\r\n", picture[:-60]),
    "30,000 x 30,000": lambda picture: part(of_size(picture, 30_000)),
    "HTML": lambda _picture: part(b"<html><body>Please log in</body></html>"),
}


@pytest.mark.parametrize("kind", NO_PICTURE)
def test_a_part_that_is_no_whole_picture_is_unreadable(kind: str, watch: Callable[..., Watcher]) -> None:
    with answering(partial(show, head=PARTS, encode=NO_PICTURE[kind])) as url:
        watcher = watched(watch, url)
        wait_until(lambda: Reason.UNREADABLE in [frame.fault for frame in list(watcher.frames)])
        watcher.stop()
    assert watcher.seen() == 0


NO_CAMERA: dict[str, tuple[bytes, str]] = {
    "a page": (f"{OK}Content-Type: text/html\r\n\r\n<html>Please log in</html>".encode(), "cannot be opened"),
    "no such page": (b"HTTP/1.1 404 Not Found\r\n\r\n", "404"),
    "round in circles": (b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n", "cannot be opened"),
    "a file of this machine": (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/hosts\r\n\r\n", "cannot be opened"),
    "a picture": (f"{OK}{FIELDS}\r\n".encode() + jpeg(1), "if `url` is the address of single pictures"),
    "parts of another type": (
        f"{PARTS}\r\n".encode() + part(jpeg(1)).replace(b"image/jpeg", b"text/plain") * 9,
        "of the type image/jpeg",
    ),
    "longer than it says": (f"{PARTS}\r\n".encode() + part(jpeg(1)) + b"\xff\xd9" * 9, "no video|cannot be read|ended"),
}


@pytest.mark.parametrize("kind", NO_CAMERA)
def test_what_is_no_camera_is_told(kind: str, watch: Callable[..., Watcher]) -> None:
    answer, words = NO_CAMERA[kind]
    with answering(lambda send: send(answer)) as url:
        watcher = watched(watch, url)
        wait_until(lambda: watcher.camera.status().reconnects > 0)
        reason = watcher.reason
        watcher.stop()
    assert any(word in reason for word in words.split("|")), reason


def test_a_frame_that_would_take_all_memory_is_unreadable(tmp_path: Path) -> None:
    """Of motion JPEG the header tells; of other codecs the decoder does."""
    path = f"{tmp_path}/large.mkv"
    with av.open(path, "w") as container:
        film = container.add_stream("rawvideo", rate=1)
        film.width, film.height, film.pix_fmt = 9000, 8000, "gray"
        container.mux(film.encode(av.VideoFrame(9000, 8000, "gray")))
        container.mux(film.encode())
    stream = VideoStream(path)
    assert (stream.grab(), stream.retrieve()) == (True, (False, None))
    stream.release()
