"""Faults at length: what `run-inspection` loses when the broker or it itself is killed, and whether it grows.

    python benchmarks/soak.py --broker-kills 20 > benchmarks/results/soak-broker.json
    python benchmarks/soak.py --process-kills 50 > benchmarks/results/soak-process.json
    python benchmarks/soak.py --minutes 60 --rate 2 --bundle B > benchmarks/results/soak-hour.json

Real mosquitto (which saves every change, and so survives kill -9 itself), real process, real outbox. With a bundle the
station is whole: motion JPEG cameras that hang up now and then, evidence that is cleared, a live view that is looked
at. Without, cameras and verdicts are the simulation's. The subscriber has a session that outlives its connection and
keeps one event per id. The exit code is 1 where an event was lost or a seq is missing.
"""

import argparse
import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import yaml
from broker import free_port, start
from machine import describe
from mjpeg import MjpegCamera
from paho.mqtt.enums import CallbackAPIVersion

CAMERAS = 4
SCRIPT = "from runtime.cli import run_inspection; run_inspection()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker-kills", type=int, default=0, help="kill mosquitto -9 so often under load")
    parser.add_argument("--process-kills", type=int, default=0, help="kill run-inspection -9 at so many random moments")
    parser.add_argument("--minutes", type=float, default=0.0, help="run so long and watch memory and file handles")
    parser.add_argument("--rate", type=float, default=50.0, help=f"events a second of each of the {CAMERAS} cameras")
    parser.add_argument("--bundle", type=Path, help="judge real cameras with it")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    result: dict[str, Any] = {**describe("p-wae", "onnxruntime", "opencv-python-headless", "paho-mqtt")}
    result["arguments"] = {**vars(arguments), "bundle": arguments.bundle and arguments.bundle.name}
    with tempfile.TemporaryDirectory() as scratch:
        trial = Trial(Path(scratch), arguments.rate, arguments.bundle)
        try:
            if arguments.broker_kills:
                kill_broker(trial, arguments.broker_kills, chance)
            if arguments.process_kills:
                kill_process(trial, arguments.process_kills, chance)
            if arguments.minutes:
                result["growth"] = watch(trial, arguments.minutes)
            result["delivery"] = trial.verdict()
        finally:
            trial.close()
    print(json.dumps(result, indent=2))
    sys.exit(not result["delivery"]["is_whole"])


class Trial:
    """A broker, a station, and a subscriber that remembers."""

    def __init__(self, folder: Path, rate: float, bundle: Path | None) -> None:
        self.folder, self.rate, self.bundle = folder, rate, bundle
        self.port, self.view_port = free_port(), free_port()
        self.cameras = [MjpegCamera(10.0, 120.0, seed) for seed in range(CAMERAS if bundle else 0)]
        self.outbox = folder / "outbox.sqlite"
        self.seen: dict[str, tuple[str, str, int]] = {}
        self.gaps = self.messages = 0
        self.judged: set[str] = set()
        self.broker = start(folder, self.port, saves_every_change=True)
        subscribed = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, "soak", clean_session=False)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_message = self._on_message
        self.client.on_connect = lambda client, *_: client.subscribe(
            [("+/+/+/+/+/camera/+/result", 1), ("+/+/+/+/+/camera/+/gap", 1)]
        )
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        subscribed.wait(20)
        (folder / "soak.yaml").write_text(yaml.safe_dump(self.configuration()))

    def configuration(self) -> dict[str, Any]:
        sources: list[dict[str, Any]] = [
            {"kind": "http", "url": camera.url, "max_fps": self.rate} for camera in self.cameras
        ] or [{"kind": "folder", "path": "none"}] * CAMERAS
        return {
            "bundle": str(self.bundle),
            "station": "soak",
            "cameras": {f"camera{number}": source for number, source in enumerate(sources)},
            "broker": {"host": "127.0.0.1", "port": self.port, "connect_timeout_s": 120},
            "outbox": {"path": str(self.outbox)},
            "evidence": {"folder": str(self.folder / "evidence"), "max_bytes": 20_000_000, "min_free_bytes": 0},
            "view": {"port": self.view_port},
        }

    def _on_message(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        event = json.loads(message.payload)
        if message.topic.endswith("/gap"):
            self.gaps += 1
            return
        self.messages += 1
        self.seen[event["id"]] = event["boot_id"], event["camera"], event["seq"]

    def station(self) -> "subprocess.Popen[bytes]":
        return self._run() if self.bundle else self._run("simulate", "--rate", str(self.rate))

    def at_work(self) -> "subprocess.Popen[bytes]":
        station = self.station()
        while not self.messages:
            time.sleep(0.05)
        return station

    def _run(self, *options: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", SCRIPT, *options, str(self.folder / "soak.yaml")]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)

    def look(self) -> None:
        """Look at the live view, as a person and a monitor do."""
        for path in ("metrics", "state.json", "camera/camera0/last/map.jpg"):
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.view_port}/{path}", timeout=10).close()

    def note_judged(self) -> None:
        """Remember what lies in the outbox: each of these was judged and must arrive."""
        if not self.outbox.exists():
            return
        with closing(sqlite3.connect(self.outbox)) as database:
            try:
                rows = database.execute("SELECT body FROM events").fetchall()
            except sqlite3.OperationalError:
                return
        self.judged |= {json.loads(body)["id"] for (body,) in rows}

    def verdict(self) -> dict[str, Any]:
        """Send what waits, and hold what arrived against what was judged."""
        self._run("simulate", "--parts", "5").wait(300)
        until_s, count = time.monotonic() + 60, -1
        while time.monotonic() < until_s and count != self.messages:
            count = self.messages
            time.sleep(2.0)
        by_camera: dict[tuple[str, str], set[int]] = defaultdict(set)
        for boot, camera, seq in self.seen.values():
            by_camera[boot, camera].add(seq)
        missing = sum(max(seqs) - len(seqs) for seqs in by_camera.values())
        lost = len(self.judged - set(self.seen))
        return {
            "events": len(self.seen),
            "messages": self.messages,
            "sent_twice": self.messages - len(self.seen),
            "runs": len({boot for boot, _camera in by_camera}),
            "seen_waiting_in_outbox": len(self.judged),
            "of_these_lost": lost,
            "missing_seq": missing,
            "gap_events": self.gaps,
            "is_whole": lost == 0 and missing == 0 and self.gaps == 0,
        }

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.broker.terminate()
        self.broker.wait()
        for camera in self.cameras:
            camera.close()


def kill_broker(trial: Trial, kills: int, chance: random.Random) -> None:
    station = trial.at_work()
    for _ in range(kills):
        time.sleep(chance.uniform(0.5, 3.0))
        trial.broker.kill()
        trial.broker.wait()
        time.sleep(chance.uniform(0.0, 1.0))
        trial.note_judged()
        trial.broker = start(trial.folder, trial.port, saves_every_change=True)
    station.send_signal(signal.SIGTERM)
    station.wait(30)


def kill_process(trial: Trial, kills: int, chance: random.Random) -> None:
    for _ in range(kills):
        station = trial.station()
        time.sleep(chance.uniform(1.0, 4.5))  # the first moments are the start: some runs end before they judge
        station.kill()
        station.wait()
        trial.note_judged()


def watch(trial: Trial, minutes: float) -> dict[str, Any]:
    station = trial.at_work()
    samples = []
    until_s = time.monotonic() + minutes * 60
    while time.monotonic() < until_s:
        time.sleep(min(10.0, minutes * 60 / 20))
        trial.look()
        resident_mb = int(Path(f"/proc/{station.pid}/statm").read_text().split()[1]) * 4096 / 1e6
        samples.append((round(resident_mb, 1), len(list(Path(f"/proc/{station.pid}/fd").iterdir()))))
    station.send_signal(signal.SIGTERM)
    station.wait(30)
    settled = samples[len(samples) // 5 :]
    in_mb, file_handles = zip(*settled, strict=True)
    hours = np.linspace(0, minutes / 60 * len(settled) / len(samples), len(settled))
    return {
        "minutes": minutes,
        "resident_mb": {**_course(in_mb), "per_hour": round(float(np.polyfit(hours, in_mb, 1)[0]), 2)},
        "file_handles": _course(file_handles),
    }


def _course(values: Sequence[float]) -> dict[str, float]:
    """How a value went on after the first fifth, in which everything is opened and filled."""
    return {"at_start": values[0], "at_half": values[len(values) // 2], "at_end": values[-1], "highest": max(values)}


if __name__ == "__main__":
    main()
