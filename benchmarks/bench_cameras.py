"""Fair shares: many live cameras at once on one box, each giving more frames than can be judged.

Every camera is a real LiveCamera (reader thread, newest frame wins) on a simulated device of 640 x 480 pixels; bundle,
batches, outbox (fsync) and a real mosquitto on this machine are the real ones. The share of a camera is the number of
its parts that were judged.

    python benchmarks/bench_cameras.py --bundle B > benchmarks/results/cameras.json
"""

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from broker import running
from machine import describe

from runtime.cameras.live import LiveCamera
from runtime.inference.model_in_use import open_model
from runtime.settings import InspectionSettings
from runtime.station.assembly import connect
from runtime.station.inspection import Stop


class Device:
    """Gives frames at a steady rate, each unlike the one before."""

    def __init__(self, fps: float, seed: int) -> None:
        self._interval_s, self._next_s = 1 / fps, time.monotonic()
        self._frame = np.random.default_rng(seed).integers(0, 256, (480, 640, 3), np.uint8)

    def grab(self) -> bool:
        self._next_s = max(self._next_s + self._interval_s, time.monotonic())
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        return True

    def retrieve(self) -> tuple[bool, Any]:
        self._frame = np.roll(self._frame, 1, axis=0)
        return True, self._frame

    def release(self) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--cameras", type=int, default=32)
    parser.add_argument("--fps", type=float, default=10.0, help="of each camera")
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, running(Path(scratch)) as port:
        result = measure(arguments, port, Path(scratch) / "outbox.sqlite")
    print(json.dumps(result, indent=2))


def measure(arguments: argparse.Namespace, port: int, outbox: Path) -> dict[str, Any]:
    device = {"kind": "v4l2", "device": "/dev/null", "stale_after_s": 60}
    settings = InspectionSettings.model_validate(
        {
            "bundle": arguments.bundle,
            "station": "bench",
            "cameras": {f"camera{number}": device for number in range(arguments.cameras)},
            "broker": {"host": "127.0.0.1", "port": port},
            "outbox": {"path": outbox},
        }
    )
    cameras = {
        name: LiveCamera(name, camera, lambda seed=seed: Device(arguments.fps, seed))  # type: ignore[arg-type,misc]
        for seed, (name, camera) in enumerate(settings.cameras.items())
    }
    model = open_model(settings.station, settings.bundle, settings.asked, settings.site_thresholds())
    stop = Stop()
    ending = threading.Timer(arguments.seconds, lambda: setattr(stop, "reason", "time is up"))
    with connect(settings, cameras, model) as inspection:
        ending.start()
        summary = inspection.run(stop)
    shares = sorted(counters.verdicts.total() for counters in inspection.reporter.counters.values())
    return {
        **describe("p-wae", "onnxruntime", "paho-mqtt"),
        "slowest_over_fastest": round(shares[0] / shares[-1], 4),
        "judged_per_camera": {"fewest": shares[0], "most": shares[-1]},
        "images_per_s": round(summary.images_per_s, 2),
        "dropped": sum(camera.status().dropped for camera in cameras.values()),
        "cameras": arguments.cameras,
        "fps": arguments.fps,
        "seconds": arguments.seconds,
        "model": model.origin.manifest.name,
    }


if __name__ == "__main__":
    main()
