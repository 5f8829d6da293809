"""A camera that speaks RTSP over TCP and does what a test has it do: no real one can be asked to send nonsense."""

import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from socketserver import StreamRequestHandler, ThreadingTCPServer

import av
import numpy as np

SIZE = (96, 96)
FRAME_S = 0.02
TICKS = 1800
"""Of RTP's clock, in a frame's time."""
SOUND = "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:2\r\n"
H264 = "a=rtpmap:96 H264/90000\r\n"


class Line:
    """One viewer's connection, from its PLAY on."""

    def __init__(self, send: Callable[[bytes], None], closing: threading.Event, number: int) -> None:
        """The viewer is the `number`-th one, from 0 on."""
        self.number = number
        self._send, self._closing, self._packets, self._sounds = send, closing, 0, 0

    def wait(self, duration_s: float) -> None:
        """Send nothing. Raises ConnectionError where the test is over."""
        if self._closing.wait(duration_s):
            raise ConnectionError

    def frame(self, units: Sequence[bytes], ticks: int) -> None:
        """Send a frame's units (NAL), each of which fits a packet, and wait until the next one is due."""
        for number, unit in enumerate(units):
            marker = 0x80 if number == len(units) - 1 else 0
            head = struct.pack(">BBHII", 0x80, 96 | marker, self._packets % 2**16, ticks, 1)
            self._send(b"$\0" + struct.pack(">H", len(head + unit)) + head + unit)
            self._packets += 1
        self.wait(FRAME_S)

    def sound(self, ticks: int) -> None:
        """Send a bit of sound, which is silent, and wait until the next one is due."""
        head = struct.pack(">BBHII", 0x80, 0x80, self._sounds % 2**16, ticks, 2)
        self._send(b"$\2" + struct.pack(">H", len(head) + 160) + head + b"\xff" * 160)
        self._sounds += 1
        self.wait(FRAME_S)


@contextmanager
def scripted_rtsp(
    script: Callable[[Line], None],
    refuse: str = "",
    lets_in: Callable[[str, str], bool] = lambda _verb, _login: False,
    beside: str = "",
) -> Iterator[str]:
    """Give the URL of a camera that plays `script`; `refuse` answers every request whose login is not let in.

    `beside` describes what else than pictures it sends.
    """
    closing, viewers = threading.Event(), iter(range(10**6))

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            try:
                while line := self.rfile.readline().decode().split():
                    fields = dict(field.split(": ", 1) for field in iter(self._field, ""))
                    is_refused = refuse and not lets_in(line[0], fields.get("Authorization", ""))
                    self._answer(line[0], line[1], fields["CSeq"], refuse if is_refused else "")
            except OSError:
                pass

        def _field(self) -> str:
            return self.rfile.readline().decode().strip()

        def _answer(self, verb: str, url: str, number: str, refusal: str) -> None:
            pictures = f"m=video 0 RTP/AVP 96\r\n{H264}a=control:1\r\n"
            body = f"v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\n{pictures}{beside}"
            channels = "2-3" if url.endswith("2") else "0-1"
            told = {
                "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}",
                "SETUP": f"Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved={channels}\r\n\r\n",
            }.get(verb, "\r\n")
            said = f"{refusal}\r\nCSeq: {number}\r\n\r\n" if refusal else f"200 OK\r\nCSeq: {number}\r\n{told}"
            self.wfile.write(f"RTSP/1.0 {said}".encode())
            if verb == "PLAY" and not refusal:
                script(Line(self.connection.sendall, closing, next(viewers)))
                raise ConnectionError

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"rtsp://127.0.0.1:{server.server_address[1]}/film"
        finally:
            closing.set()
            server.shutdown()


def film(frames: int, level: int = 128) -> list[list[bytes]]:
    """Units of so many grainy frames about a grey `level`, every fifth a key frame."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width, encoder.pix_fmt = *SIZE, "yuv420p"
    encoder.time_base, encoder.gop_size = Fraction(1, 50), 5
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    grain = np.random.default_rng(0).integers(0, 4, (frames, *SIZE, 3))
    pictures = [av.VideoFrame.from_ndarray((level + each).astype(np.uint8), format="bgr24") for each in grain]
    packets = [bytes(packet) for picture in pictures for packet in encoder.encode(picture)]
    return [packet.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:] for packet in packets]
