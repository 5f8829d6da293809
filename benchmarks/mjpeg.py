"""A motion JPEG camera on a free port, for the benchmarks: it hangs up now and then, as real ones do."""

import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

SIZE = (480, 640)
PICTURES = 16
"""Shown in turn: no two neighbours are alike, so that the camera does not look frozen."""


class MjpegCamera:
    """Serves noisy grey pictures while the context lasts."""

    def __init__(self, fps: float, hang_up_every_s: float, seed: int) -> None:
        """Hang up on a viewer after `hang_up_every_s` on average."""
        chance, pixels = random.Random(seed), np.random.default_rng(seed)
        pictures = [
            cv2.imencode(".jpg", pixels.integers(100, 140, (*SIZE, 3), np.uint8))[1].tobytes() for _ in range(PICTURES)
        ]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                for number in range(max(1, round(fps * chance.expovariate(1 / hang_up_every_s)))):
                    picture = pictures[number % PICTURES]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    try:
                        self.wfile.write(head.encode() + picture + b"\r\n")
                    except OSError:
                        return
                    time.sleep(1 / fps)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}/video.mjpg"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
