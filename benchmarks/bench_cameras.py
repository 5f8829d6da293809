"""Many cameras at once on one box: how many it bears, what they cost, and whether each gets its share.

Every camera is a real LiveCamera (reader thread, newest frame wins) on a device in memory that gives frames at a steady
rate, each handed over by a copy, as a factory camera's are; bundle, batches, outbox (fsync) and a real mosquitto on
this machine are the real ones. The last number of cameras that `keeps_up` is what the box bears.

    python benchmarks/bench_cameras.py --bundle B --cameras 1 2 4 16 > benchmarks/results/cameras-5mp.json
    python benchmarks/bench_cameras.py --bundle B --cameras 32 --width 640 --height 480 --layout BGR --fps 10 \\
        > benchmarks/results/cameras.json
"""

import argparse
import json
import tempfile
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from broker import running
from machine import describe
from numpy.typing import NDArray

from core.stop import Stop
from runtime.cameras.free_running import grabbed, read_freely
from runtime.cameras.live import LiveCamera
from runtime.inference.models import open_models
from runtime.parts.frame import Frame
from runtime.parts.layout import Layout
from runtime.parts.moment import Moment
from runtime.settings import InspectionSettings
from runtime.station.assembly import connect

UNLIKE = 4
"""Frames that a device gives in turn: none is like the one before."""
WARM_UP_S = 3.0
"""Not counted: cameras settle, and the first batches are slower."""
ENOUGH = 0.98
"""Of the frames that were filmed, judged: what is missing is the edges of the time that is counted."""


class Device:
    """Gives frames at a steady rate, and tells of no frame that it could not give in time."""

    def __init__(self, fps: float, frames: list[NDArray[np.uint8]]) -> None:
        self._interval_s, self._next_s = 1 / fps, time.monotonic()
        self._frames, self._number = frames, 0

    def grab(self) -> bool:
        self._next_s = max(self._next_s + self._interval_s, time.monotonic())
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        return True

    def retrieve(self) -> tuple[bool, Any]:
        self._number += 1
        return True, self._frames[self._number % len(self._frames)].copy()

    def release(self) -> None:
        pass


def laid_out(layout: Layout, device: Device, now: Moment) -> Frame:
    """Say how the frame is laid out, as a factory camera does."""
    return replace(grabbed(device, now), layout=layout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--fps", type=float, default=25.0, help="of each camera")
    parser.add_argument("--width", type=int, default=2448)
    parser.add_argument("--height", type=int, default=2048)
    parser.add_argument("--layout", choices=get_args(Layout), default="RG", help="RG: a Bayer mosaic, one byte a pixel")
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    shape = (arguments.height, arguments.width, *((3,) if arguments.layout in ("BGR", "RGB") else ()))
    frames = [np.random.default_rng(seed).integers(0, 256, shape, np.uint8) for seed in range(UNLIKE)]
    result: dict[str, Any] = {
        **describe("p-wae", "onnxruntime", "opencv-python-headless", "paho-mqtt"),
        **{key: value for key, value in vars(arguments).items() if key not in ("bundle", "cameras")},
        "runs": [],
    }
    for count in arguments.cameras:
        with tempfile.TemporaryDirectory() as scratch, running(Path(scratch)) as port:
            result["runs"].append(measure(arguments, count, frames, port, Path(scratch) / "outbox.sqlite"))
    print(json.dumps(result, indent=2))


def measure(
    arguments: argparse.Namespace, count: int, frames: list[NDArray[np.uint8]], port: int, outbox: Path
) -> dict[str, Any]:
    device = {"kind": "v4l2", "device": "/dev/null", "stale_after_s": 60}
    settings = InspectionSettings.model_validate(
        {
            "bundle": arguments.bundle,
            "station": "bench",
            "cameras": {f"camera{number}": device for number in range(count)},
            "broker": {"host": "127.0.0.1", "port": port},
            "outbox": {"path": outbox},
        }
    )
    connect_device = partial(Device, arguments.fps, frames)
    read = partial(read_freely, frame_of=partial(laid_out, arguments.layout))
    cameras = {
        name: LiveCamera(name, camera, connect_device, read)  # type: ignore[arg-type]
        for name, camera in settings.cameras.items()
    }
    site = settings.site_thresholds()
    models = open_models(settings.station, settings.bundle, settings.bundles, settings.asked, site)
    stop, counted = Stop(), Counted()
    ending = threading.Timer(WARM_UP_S + arguments.seconds, lambda: setattr(stop, "reason", "time is up"))
    with connect(settings, cameras, models) as inspection:
        inspection.reporter._throughput.judged = counted.judged  # type: ignore[method-assign]
        ending.start()
        inspection.run(stop)
    took_s, cores = counted.end()
    shares = sorted(counted.of_camera.get(name, 0) for name in cameras)
    judged, filmed = sum(shares), count * arguments.fps * took_s
    return {
        "cameras": count,
        "filmed_per_s": count * arguments.fps,
        "judged_per_s": round(judged / took_s, 2),
        "keeps_up": judged >= ENOUGH * filmed,
        "cores": round(cores, 2),
        "dropped": sum(camera.status().dropped for camera in cameras.values()),
        "exposure_to_event_ms": dict(
            zip(("p50", "p99"), np.percentile(counted.took_ms or [0], [50, 99]).round(1).tolist(), strict=True)
        ),
        "slowest_over_fastest": round(shares[0] / max(1, shares[-1]), 4),
    }


class Counted:
    """What was judged since the warm-up: of which camera, and how long after its frame the event was on disk."""

    def __init__(self) -> None:
        self.of_camera: dict[str, int] = {}
        self.took_ms: list[float] = []
        self._begins_s = time.monotonic() + WARM_UP_S
        self._used_s: float | None = None
        self._ended = (0.0, 0.0)

    def judged(self, camera: str, took_ms: float) -> None:
        now_s, used_s = time.monotonic(), time.process_time()
        if now_s < self._begins_s:
            return
        if self._used_s is None:
            self._begins_s, self._used_s = now_s, used_s
        self.of_camera[camera] = self.of_camera.get(camera, 0) + 1
        self.took_ms.append(took_ms)
        self._ended = now_s, used_s

    def end(self) -> tuple[float, float]:
        """Seconds that were counted, and how many cores were busy with this process in them."""
        took_s = max(1e-9, self._ended[0] - self._begins_s)
        return took_s, (self._ended[1] - (self._used_s or 0.0)) / took_s


if __name__ == "__main__":
    main()
