"""A simulated camera: films the pictures of a folder, one after the other, over and over, as motion JPEG over HTTP.

python camera.py FOLDER [PORT] [FRAMES A SECOND]
"""

import itertools
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")


def main(folder: Path, port: int = 8081, fps: float = 5.0) -> None:
    """Serve until stopped."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    pictures = [picture for path in paths if (picture := cv2.imread(str(path))) is not None]
    if not pictures:
        sys.exit(f"error: {folder} holds no picture; it has to be a folder of {', '.join(SUFFIXES)}.")
    height, width = pictures[0].shape[:2]  # a camera's frames are all of one size
    frames = [cv2.imencode(".jpg", cv2.resize(picture, (width, height)))[1].tobytes() for picture in pictures]

    class Film(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for jpeg in itertools.cycle(frames):
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                except OSError:
                    return  # who looked has gone
                time.sleep(1 / fps)

        def log_message(self, *_: object) -> None:
            pass

    sys.stderr.write(f"{len(frames)} pictures of {width} x {height}, {fps:g} a second, on port {port}\n")
    server = ThreadingHTTPServer(("0.0.0.0", port), Film)  # noqa: S104 - in a container, for its neighbours
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]), *map(float, sys.argv[3:4]))
