"""Cameras for the tests: a real RTSP server and a motion JPEG server, to be killed, stalled and restarted."""

import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.runtime.broker import free_port
from tests.runtime.pictures import good_picture
from tests.runtime.waiting import WAIT_S, wait_for_port

FRAME = (96, 96)


def write_h264(path: Path, seconds: int) -> None:
    """Write good parts as an H.264 film of 25 frames a second."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = FRAME
        stream.pix_fmt = "yuv420p"
        stream.gop_size = 5
        stream.codec_context.max_b_frames = 0
        for number in range(25 * seconds):
            picture = av.VideoFrame.from_ndarray(good_picture(number, FRAME), format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


@dataclass
class RtspServer:
    """Plays a film over and over again, on a port that stays the same."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/film.mp4?play_count=1000"

    def start(self) -> None:
        program = Path(sys.executable).with_name("rtsp-server")
        command = [program, "-d", self.folder, "-H", "127.0.0.1", "-p", self.port, "-cp", free_port()]
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder
        )
        wait_for_port(self.port)

    def send(self, what: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(what)

    def stop(self) -> None:
        if self.process is not None:
            self.send(signal.SIGKILL)
            self.send(signal.SIGCONT)
            self.process.wait(WAIT_S)
            self.process = None


class MjpegServer:
    """Motion JPEG over HTTP. What it shows, and whether it goes on, can be changed while it runs."""

    def __init__(self, fps: float = 25.0) -> None:
        self.picture: NDArray[np.uint8] | None = None
        """Shown again and again; None: another good part in each frame."""
        self.going = threading.Event()
        self.going.set()
        self.hang_up = threading.Event()
        self.damaged = threading.Event()
        """While it is set, the second half of each frame is lost, and its end mark is there."""
        self.held = threading.Event()
        """While it is set, frames pile up on their way, as in a network that stands still."""
        self.made = 0
        """So many pictures were made, and went out or pile up."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                waiting = b""
                while not server.hang_up.is_set():
                    server.going.wait()
                    picture = server.picture
                    shown = good_picture(server.made, FRAME) if picture is None else picture
                    jpeg = cv2.imencode(".jpg", shown)[1].tobytes()
                    if server.damaged.is_set():
                        jpeg = jpeg[: len(jpeg) // 2] + b"\xff\xd9"
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    waiting += head.encode() + jpeg + b"\r\n"
                    server.made += 1
                    try:
                        if not server.held.is_set():
                            self.wfile.write(waiting)
                            waiting = b""
                    except OSError:
                        return
                    time.sleep(1 / fps)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/video.mjpg"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.hang_up.set()
        self.going.set()
        self._server.shutdown()
        self._server.server_close()
