"""Films of 5 megapixels by software and by the GPU: the same pictures, how fast, of 1, 4 and 16 cameras, and damage."""

import logging
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import av
import cv2
import numpy as np

from runtime.cameras.camera import Camera
from runtime.cameras.opening import open_camera
from runtime.cameras.settings import Decoding, VideoSettings
from runtime.cameras.streams.decoding import obstacle

SIZE = (2048, 2448)
FRAMES = 60
CODECS = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
}
BY: tuple[Decoding, Decoding] = ("software", "cuda")
CAMERAS = (1, 4, 16)
RUN = threading.Event()


def compare_decoders(tell: Callable[..., None], size: tuple[int, int] = SIZE, cameras: Sequence[int] = CAMERAS) -> None:
    """Tell how far the pictures differ, what each does a second, and what each says of a damaged film.

    Raises RuntimeError where this machine does not decode by `cuda`.
    """
    cv2.setNumThreads(1)
    tell(cores=len(os.sched_getaffinity(0)), knows=[kind for kind in get_args(Decoding) if not obstacle(kind)])
    if why := obstacle("cuda"):
        raise RuntimeError(f"not decoded by cuda: {why}")
    with tempfile.TemporaryDirectory() as folder, Heard() as heard:
        for codec, options in CODECS.items():
            film = write_film(Path(folder) / f"{codec}.mp4", codec, options, size)
            tell(codec=codec, height=size[0], width=size[1], kb_a_frame=film.stat().st_size / FRAMES / 1000)
            tell(codec=codec, **differences(film), log=heard.lines())
            for by in BY:
                for count in cameras:
                    tell(codec=codec, by=by, cameras=count, **rate(film, by, count))
            for name, damaged in damages(film):
                told = {by: ["?" if pixels is None else "." for pixels in pictures(damaged, by)] for by in BY}
                tell(codec=codec, damage=name, unreadable={by: "".join(told[by]) for by in BY}, log=heard.lines())


class Heard(logging.Handler):
    """Keeps what the log is told of cameras, while the context lasts."""

    def __enter__(self) -> "Heard":
        """Begin to hear."""
        self._lines: list[str] = []
        self._log = logging.getLogger("runtime.cameras")
        self._log.setLevel(logging.INFO)
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Hear no more."""
        self._log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """See Handler."""
        self._lines.append(record.getMessage())

    def lines(self) -> list[str]:
        """Give what was told since this was asked last, each once."""
        lines, self._lines = sorted(set(self._lines)), []
        return lines


def write_film(path: Path, codec: str, options: dict[str, str], size: tuple[int, int]) -> Path:
    """Film a coarse plate that wanders, with the grain of a camera's chip."""
    random = np.random.default_rng(0)
    plate = cv2.GaussianBlur(random.integers(0, 256, (*size, 3), np.uint8), (0, 0), 8)
    plate = cv2.normalize(plate, plate, 20, 235, cv2.NORM_MINMAX)
    grain = random.integers(0, 8, (*size, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = 25
        for number in range(FRAMES):
            moved = np.roll(plate, 6 * number, 1) + np.roll(grain, (number * 31, number * 17), (0, 1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="bgr24")))
        container.mux(stream.encode())
    return path


def opened(film: Path, by: Decoding) -> Camera:
    """Open it as a station does."""
    return open_camera("film", VideoSettings.model_validate({"kind": "video", "path": film, "decoding": by}))


def pictures(film: Path, by: Decoding) -> list[Any]:
    """Give its pictures (H, W, 3) uint8, None for what is unreadable."""
    camera = opened(film, by)
    try:
        return [frame.pixels_u8 for frame in camera.frames(RUN)]
    finally:
        camera.close()


def differences(film: Path) -> dict[str, Any]:
    """Compare the pictures of both, in grey levels."""
    software, hardware = (pictures(film, by) for by in BY)
    pairs = zip(software, hardware, strict=True)
    off = [np.abs(one.astype(np.int16) - other) for one, other in pairs if one is not None and other is not None]
    return {
        "frames": [len(software), len(hardware)],
        "compared": len(off),
        "largest_difference": max(int(each.max()) for each in off),
        "mean_difference": float(np.mean([each.mean() for each in off])),
    }


def rate(film: Path, by: Decoding, count: int) -> dict[str, float]:
    """Frames/s of so many cameras at once, the milliseconds of a core that a frame takes, and the GPU's memory."""
    started_s = time.perf_counter()
    with ThreadPoolExecutor(count) as threads:
        cameras = list(threads.map(lambda _: opened(film, by), range(count)))
        open_s = time.perf_counter() - started_s
        used_mb = gpu_memory_mb()

        def run(camera: Camera) -> int:
            return sum(frame.pixels_u8 is not None for frame in camera.frames(RUN))

        used_s, started_s = time.process_time(), time.perf_counter()
        done = sum(threads.map(run, cameras))
        taken_s, used_s = time.perf_counter() - started_s, time.process_time() - used_s
        for camera in cameras:
            camera.close()
    per_s, core_ms = done / taken_s, used_s / done * 1000
    return {"frames_per_s": per_s, "core_ms": core_ms, "open_s": open_s, "gpu_memory_mb": used_mb}


def gpu_memory_mb() -> float:
    """Ask the driver how much of the GPU's memory is taken; nan where there is none to ask."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return float("nan")
    return float(told.split()[0])


def damages(film: Path) -> list[tuple[str, Path]]:
    """Give the film with half of a frame's data zeroed, and with a frame left out: neither is a key frame."""
    zeroed, without = film.with_stem(f"{film.stem}-zeroed"), film.with_stem(f"{film.stem}-without")
    content = bytearray(film.read_bytes())
    with av.open(str(film)) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
        hit = next(number for number, packet in enumerate(packets) if number >= 10 and not packet.is_keyframe)
        at, size = packets[hit].pos or 0, packets[hit].size
        content[at + size // 2 : at + size] = bytes(size - size // 2)
        zeroed.write_bytes(bytes(content))
        with av.open(str(without), "w") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for number, packet in enumerate(packets):
                if number != hit:
                    packet.stream = stream
                    target.mux(packet)
    return [("half of a frame zeroed", zeroed), ("a frame left out", without)]
