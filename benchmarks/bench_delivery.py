"""Delivery against a real mosquitto on this machine: latency, events end to end, storing, and draining after an outage.

    python benchmarks/bench_delivery.py > benchmarks/results/delivery.json

Latency is from capture to PUBACK, less inference; batches of one frame, so nothing waits by configuration. Cameras and
verdicts are the simulation's, all else is what `run-inspection` does: resize, event, fsync, publish, acknowledgement.
Beside it stands what the disk alone takes to flush as much, at the same pace right before; `--folder /dev/shm` leaves
that out. End to end is as many of the same as there can be, until a subscriber of QoS 1 has all.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from broker import running
from machine import describe

from runtime.delivery.connector import Connector
from runtime.delivery.publisher import Publisher
from runtime.delivery.settings import BrokerSettings
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import NewEvent, StoredEvent
from runtime.outbox.settings import OutboxSettings
from runtime.parts.verdict import Verdict
from runtime.settings import InspectionSettings
from runtime.station.inspection import Stop
from runtime.station.simulation import open_simulation
from runtime.threads.worker import Worker

AS_FAST_AS_CAN_BE = 1e9
"""Parts a second."""
PAGES_BYTES = 3 * 4096
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
        result["latency"] = latency(folder, port, arguments.rate, arguments.events)
        result["through"] = through(folder, port, arguments.through)
        event = sample(folder, port)
        result["event_bytes"] = len(event)
        result["store"] = {str(size): store(folder, event, size, arguments.seconds) for size in (1, 8)}
        result["drain"] = drain(folder, port, event, arguments.waiting)
    print(json.dumps(result, indent=2))


def station(folder: Path, port: int, name: str) -> InspectionSettings:
    return InspectionSettings.model_validate(
        {
            "bundle": folder,
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
    p50, p99 = np.percentile(took_ms, [50, 99]).round(2).tolist()
    return {"flushes": flushes, "p50_ms": p50, "p99_ms": p99}


def latency(folder: Path, port: int, rate_per_s: float, events: int) -> dict[str, Any]:
    """ms from capture to PUBACK less inference, of every event, and where they go."""
    took_ms: dict[int, list[float]] = {}
    looked_at: list[float] = []
    with open_simulation(station(folder, port, "latency.sqlite"), rate_per_s, events) as inspection:
        box = inspection.publisher.outbox
        add, read, remove = box.add, box.read, box.remove

        def timed_add(letters: Sequence[NewEvent], notes: Mapping[str, bytes]) -> list[tuple[str, Verdict]]:
            timing = json.loads(letters[0].body)["timing_ms"]
            begun_s = time.monotonic()
            given_up = add(letters, notes)
            stored_s = time.monotonic()
            took_ms[box.newest] = [timing["total"] - timing["infer"], (stored_s - begun_s) * 1000]
            looked_at.append(stored_s)
            return given_up

        def timed_read(after: int, limit: int, without: Sequence[str] = ()) -> list[StoredEvent]:
            stored = read(after, limit, without)
            read_s.update(dict.fromkeys((each.position for each in stored), time.monotonic()))
            return stored

        def timed_remove(events: Sequence[StoredEvent]) -> None:
            acknowledged_s.update(dict.fromkeys((each.position for each in events), time.monotonic()))
            remove(events)

        read_s: dict[int, float] = {}
        acknowledged_s: dict[int, float] = {}
        box.add, box.read, box.remove = timed_add, timed_read, timed_remove  # type: ignore[method-assign, assignment]
        inspection.run(Stop())
    steps = []
    for stored_s, (position, (to_verdict, to_disk)) in zip(looked_at, took_ms.items(), strict=True):
        to_reader, to_broker = read_s[position] - stored_s, acknowledged_s[position] - read_s[position]
        steps.append([to_verdict, to_disk, to_reader * 1000, to_broker * 1000])
    p50, p95, p99 = np.percentile(np.sum(steps, axis=1), [50, 95, 99]).round(2).tolist()
    names = ("capture_to_verdict", "event_to_disk", "disk_to_publisher", "publisher_to_acknowledgement")
    parts = dict(zip(names, np.median(steps, axis=0).round(2).tolist(), strict=True))
    told = {"events": len(steps), "events_per_s": rate_per_s, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}
    return {**told, "p50_ms_of": parts}


def through(folder: Path, port: int, events: int) -> dict[str, Any]:
    """Events a second from a frame to a subscriber that has acknowledged it, as fast as they can be."""
    settings = station(folder, port, "through.sqlite")
    cameras = {f"camera{number}": settings.cameras["top"] for number in range(4)}
    batching = settings.batching.model_copy(update={"max_batch": 8, "max_wait_ms": 200.0})
    settings = settings.model_copy(update={"cameras": cameras, "batching": batching})
    topic = settings.topics.result("+")
    command = ["mosquitto_sub", "-p", str(port), "-q", "1", "-t", topic, "-C", str(events), "-W", "600"]
    subscriber = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(1.0)
    with open_simulation(settings, AS_FAST_AS_CAN_BE, events // len(cameras)) as inspection, core_times() as used_of:
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
