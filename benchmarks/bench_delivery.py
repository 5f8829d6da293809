"""Delivery against a real mosquitto on this machine: latency, events end to end, storing, and draining after an outage.

    python benchmarks/bench_delivery.py > benchmarks/results/delivery.json

Latency is from capture to PUBACK, less inference; batches of one frame, so nothing waits by configuration. Cameras and
verdicts are the simulation's, all else is what `run-inspection` does: resize, event, fsync, publish, acknowledgement.
Beside it stands what the disk alone takes to flush as much, at the same pace right before, and what SQLite and paho
take for as many bytes with nothing of ours (`bare_way`); `--folder /dev/shm` leaves the disk out. End to end is as many
as there can be, until a subscriber of QoS 1 has all: with the simulation's cameras, who draw and shrink 640 x 480, and
with frames that lie in memory at the size that is judged (`through_ready`).
"""

import argparse
import json
import os
import re
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import paho.mqtt.client as mqtt
from broker import running
from machine import describe
from numpy.typing import NDArray
from paho.mqtt.enums import CallbackAPIVersion

from core.stop import Stop
from runtime.delivery.publisher import Publisher
from runtime.events.event import JudgedPart
from runtime.mqtt.connector import Connector
from runtime.mqtt.settings import BrokerSettings
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import NewEvent, StoredEvent
from runtime.outbox.settings import OutboxSettings
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Verdict
from runtime.settings import InspectionSettings
from runtime.station.simulating.simulated_backend import SIZE
from runtime.station.simulating.simulated_camera import SimulatedCamera
from runtime.station.simulating.simulation import open_simulation
from runtime.threads.worker import Worker

AS_FAST_AS_CAN_BE = 1e9
"""Parts a second."""
PAGES_BYTES = 3 * 4096
EVENT_BYTES = 1612
MANY = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=30.0, help="events a second, for the latency")
    parser.add_argument("--events", type=int, default=1800, help="events, for the latency")
    parser.add_argument("--through", type=int, default=40_000, help="events end to end, of four cameras")
    parser.add_argument("--waiting", type=int, default=100_000, help="events to drain")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="for which events are stored as fast as they can be"
    )
    parser.add_argument("--folder", type=Path, help="where the outboxes lie; else where temporary files do")
    arguments = parser.parse_args()
    result: dict[str, Any] = describe("p-wae", "paho-mqtt")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch, running(Path(scratch)) as port:
        folder = Path(scratch)
        result["bare_flush"] = bare_flush(folder, arguments.rate, arguments.events // 4)
        result["bare_way"] = bare_way(folder, port, arguments.rate, arguments.events // 4)
        result["latency"] = latency(folder, port, arguments.rate, arguments.events)
        result["through"] = through(folder, port, arguments.through)
        result["through_ready"] = through(folder, port, arguments.through, ReadyCamera)
        event = sample(folder, port)
        result["event_bytes"] = len(event)
        result["store"] = {str(size): store(folder, event, size, arguments.seconds) for size in (1, 8)}
        result["drain"] = drain(folder, port, event, arguments.waiting)
    print(json.dumps(result, indent=2))


def station(folder: Path, port: int, name: str) -> InspectionSettings:
    return InspectionSettings.model_validate(
        {
            "bundle": folder / "no-bundle",
            "station": "bench",
            "cameras": {"top": {"kind": "folder", "path": folder}},
            "batching": {"max_batch": 1},
            "broker": {"host": "127.0.0.1", "port": port},
            "outbox": {"path": folder / name},
        }
    )


def bare_flush(folder: Path, rate_per_s: float, flushes: int) -> dict[str, Any]:
    """ms to flush three pages (fdatasync) of a file that grows no more: what a commit waits for at least."""
    took_ms = []
    with (folder / "flushed").open("w+b", buffering=0) as file:
        file.write(bytes(MANY * PAGES_BYTES))
        os.fsync(file.fileno())
        for number in range(flushes):
            os.pwrite(file.fileno(), os.urandom(PAGES_BYTES), number % MANY * PAGES_BYTES)
            begun_s = time.monotonic()
            os.fdatasync(file.fileno())
            took_ms.append((time.monotonic() - begun_s) * 1000)
            time.sleep(1 / rate_per_s)
    return {"flushes": flushes, **percentiles(took_ms)}


def bare_way(folder: Path, port: int, rate_per_s: float, events: int) -> dict[str, Any]:
    """ms for bytes onto the disk, to the broker and back: one row, one message, one caller, nothing of ours."""
    took_ms, acknowledged = [], threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_publish = lambda *_: acknowledged.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    with closing(sqlite3.connect(folder / "bare.sqlite", isolation_level=None)) as database:
        database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE events (body BLOB)")
        for _ in range(events):
            time.sleep(1 / rate_per_s)
            acknowledged.clear()
            body, begun_s = os.urandom(EVENT_BYTES), time.monotonic()
            database.execute("INSERT INTO events VALUES (?)", (body,))
            client.publish("bare/result", body, qos=1)
            assert acknowledged.wait(10.0), "the broker does not acknowledge"
            took_ms.append((time.monotonic() - begun_s) * 1000)
    client.disconnect()
    client.loop_stop()
    return {"events": events, **percentiles(took_ms)}


def latency(folder: Path, port: int, rate_per_s: float, events: int) -> dict[str, Any]:
    """ms from capture to PUBACK less inference, of every event, and where they go."""
    captured_s, told_s, stored_s, sent_s, acknowledged_s = marks = [dict[int, float]() for _ in range(5)]
    with open_simulation(station(folder, port, "latency.sqlite"), rate_per_s, events) as inspection:
        box, reporter = inspection.publisher.outbox, inspection.reporter
        add, read, remove, report = box.add, box.read, box.remove, reporter.report

        def timed_report(judged: Sequence[JudgedPart]) -> None:
            (only,) = judged
            captured_s[box.newest + 1] = only.part.captured.s + only.timing.infer / 1000
            report(judged)

        def timed_add(letters: Sequence[NewEvent], notes: Mapping[str, bytes]) -> list[tuple[str, Verdict]]:
            told_s[box.newest + 1] = time.monotonic()
            given_up = add(letters, notes)
            stored_s[box.newest] = time.monotonic()
            return given_up

        def timed_read(after: int, limit: int, without: Sequence[str] = ()) -> list[StoredEvent]:
            stored = read(after, limit, without)
            sent_s.update(dict.fromkeys((each.position for each in stored), time.monotonic()))
            return stored

        def timed_remove(events: Sequence[StoredEvent]) -> None:
            acknowledged_s.update(dict.fromkeys((each.position for each in events), time.monotonic()))
            remove(events)

        reporter.report = timed_report  # type: ignore[method-assign]
        box.add, box.read, box.remove = timed_add, timed_read, timed_remove  # type: ignore[method-assign, assignment]
        inspection.run(Stop())
    moments = np.array([[each[position] for each in marks] for position in captured_s]) * 1000
    names = ("capture_to_event", "event_to_disk", "disk_to_publisher", "publisher_to_acknowledgement")
    steps = dict(zip(names, np.median(np.diff(moments), axis=0).round(2).tolist(), strict=True))
    whole = percentiles(moments[:, -1] - moments[:, 0])
    stored = percentiles(moments[:, -1] - moments[:, 1])
    return {"events": len(moments), "events_per_s": rate_per_s, **whole, "p50_ms_of": steps, "from_event": stored}


def percentiles(took_ms: list[float] | NDArray[np.float64]) -> dict[str, float]:
    values = np.percentile(took_ms, [50, 95, 99]).round(2).tolist()
    return dict(zip(("p50_ms", "p95_ms", "p99_ms"), values, strict=True))


class ReadyCamera(SimulatedCamera):
    """Gives what is to be judged, as it lies in memory."""

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        ready = [np.full((SIZE, SIZE, 3), level, np.uint8) for level in range(100, 156)]
        for number in range(self.frames_total or 0):
            if stopping.is_set():
                return
            yield Frame(ready[number % len(ready)], Moment.now())


def through(folder: Path, port: int, events: int, camera: type[SimulatedCamera] = SimulatedCamera) -> dict[str, Any]:
    """Events a second from a frame to a subscriber that has acknowledged it, as fast as they can be."""
    settings = station(folder, port, f"through-{camera.__name__}.sqlite")
    cameras = {f"camera{number}": settings.cameras["top"] for number in range(4)}
    batching = settings.batching.model_copy(update={"max_batch": 8, "max_wait_ms": 200.0})
    settings = settings.model_copy(update={"cameras": cameras, "batching": batching})
    topic = settings.topics.result("+")
    command = ["mosquitto_sub", "-p", str(port), "-q", "1", "-t", topic, "-C", str(events), "-W", "600"]
    subscriber = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(1.0)
    opened = open_simulation(settings, AS_FAST_AS_CAN_BE, events // len(cameras))
    with (
        patch("runtime.station.simulating.simulation.SimulatedCamera", camera),
        opened as inspection,
        core_times() as used_of,
    ):
        started_s, used_s = time.monotonic(), time.process_time()
        inspection.run(Stop())
        assert subscriber.wait() == 0, "events are missing"
        took_s, used_s = time.monotonic() - started_s, time.process_time() - used_s
    return {
        "events": events,
        "events_per_s": round(events / took_s),
        "core_ms_an_event": round(used_s / events * 1000, 3),
        "core_ms_of": {name: round(own_s / events * 1000, 3) for name, own_s in sorted(used_of.items())},
        "cameras": len(cameras),
        "max_batch": batching.max_batch,
    }


@contextmanager
def core_times() -> Iterator[dict[str, float]]:
    """Core time in s of this thread and of each kind of worker that ends meanwhile, filled in at the end."""
    used_s: defaultdict[str, float] = defaultdict(float)
    run, begun_s = Worker.run, time.thread_time()

    def timed_run(worker: Worker) -> None:
        run(worker)
        used_s[worker.name.split()[0]] += time.thread_time()

    Worker.run = timed_run  # type: ignore[method-assign, assignment]
    try:
        yield used_s
    finally:
        Worker.run = run  # type: ignore[method-assign]
        used_s["judging"] = time.thread_time() - begun_s


def sample(folder: Path, port: int) -> bytes:
    """An event as it lies in the outbox."""
    bodies: list[bytes] = []
    with open_simulation(station(folder, port, "sample.sqlite"), 100.0, 1) as inspection:
        add = inspection.publisher.outbox.add

        def kept_add(letters: Sequence[NewEvent], notes: Mapping[str, bytes]) -> list[tuple[str, Verdict]]:
            bodies.extend(letter.body for letter in letters)
            return add(letters, notes)

        inspection.publisher.outbox.add = kept_add  # type: ignore[method-assign, assignment]
        inspection.run(Stop())
    return bodies[0]


def store(folder: Path, event: bytes, per_commit: int, seconds: float) -> dict[str, Any]:
    """Events a second into the outbox, each commit flushed to disk."""
    box = Outbox(OutboxSettings(path=folder / f"store{per_commit}.sqlite"))
    letters = [NewEvent("bench/result", "top", Verdict.OK, event)] * per_commit
    started_s, events = time.monotonic(), 0
    while (took_s := time.monotonic() - started_s) < seconds:
        box.add(letters)
        events += per_commit
    box.close()
    return {"events_per_s": round(events / took_s), "events_a_commit": per_commit, "synchronous": "FULL"}


def drain(folder: Path, port: int, event: bytes, waiting: int) -> dict[str, Any]:
    """Send what waited, to a subscriber that checks the order; memory is this process's resident set."""
    box = Outbox(OutboxSettings(path=folder / "drain.sqlite"))
    numbered = re.compile(rb'"seq":\d+')
    for start in range(1, waiting + 1, 1000):
        seqs = range(start, min(start + 1000, waiting + 1))
        bodies = [numbered.sub(b'"seq":%d' % seq, event) for seq in seqs]
        box.add([NewEvent("drain/result", "top", Verdict.OK, body) for body in bodies])
    command = ["mosquitto_sub", "-p", str(port), "-q", "1", "-t", "drain/result", "-C", str(waiting), "-W", "600"]
    subscriber = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert subscriber.stdout is not None
    time.sleep(1.0)
    publisher = Publisher(Connector(BrokerSettings(host="127.0.0.1", port=port), "drain"), box, "drain/status", {})
    started_s, expected, resident_mb = time.monotonic(), 1, [_resident_mb()]
    publisher.start()
    for line in subscriber.stdout:
        found = numbered.search(line)
        assert found is not None
        assert int(found[0].split(b":")[1]) == expected, f"out of order: {found[0]!r}, expected {expected}"
        expected += 1
        if expected % 1000 == 0:
            resident_mb.append(_resident_mb())
    took_s = time.monotonic() - started_s
    assert publisher.wait_idle(60.0)
    publisher.stop("finished", 1.0)
    subscriber.wait()
    left = box.depth
    box.close()
    return {
        "events": expected - 1,
        "in_order": expected - 1 == waiting,
        "left_in_outbox": left,
        "events_per_s": round((expected - 1) / took_s),
        "resident_mb_at_start": resident_mb[0],
        "resident_mb_highest": max(resident_mb),
    }


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * 4096 / 1e6, 1)


if __name__ == "__main__":
    main()
