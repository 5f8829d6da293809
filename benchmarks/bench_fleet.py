"""How quickly a fleet is told and tells: many stations on one mosquitto, each order signed, sent, checked, answered.

The stations are clients of their own, up to 500 a process, which check the signature and report as an agent does;
nothing is fetched. `cd benchmarks && PYTHONPATH=.. python bench_fleet.py --stations 500 1000 2000`
"""

import argparse
import json
import os
import resource
import selectors
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from broker import running
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from machine import describe
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from core.errors import RollOutError
from fleet.order import Package, read_order, signed_for
from fleet.page import page
from fleet.report import Report
from fleet.roll_out import RollOut
from fleet.settings import FleetSettings
from fleet.station import Stations
from runtime.events.topics import Topics

PACKAGE = Package(sha256="ab" * 32, url="https://bundles.example.com/cell.zip")


PER_PROCESS = 500
"""paho asks select() before it writes, which takes no file number above 1,023."""


class Simulated:
    """Stations, all served by one process, until `stop` is set."""

    def __init__(self, names: Sequence[str], port: int, public_key: Path, ready: Any, online: Any, stop: Any) -> None:
        self._names, self._port, self._key = names, port, public_key
        self._ready, self._online, self._stop = ready, online, stop

    def serve(self) -> None:
        self._ready.wait()
        ready = selectors.DefaultSelector()
        clients = [self._client(name) for name in self._names]
        for client in clients:
            socket: Any = client.socket()
            ready.register(socket, selectors.EVENT_READ, client)
        while not self._stop.is_set():
            for found, _ in ready.select(0.05):
                found.data.loop_read()
            for client in clients:
                if client.want_write():
                    client.loop_write()

    def _client(self, name: str) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, name.replace("/", "-"), protocol=MQTTProtocolVersion.MQTTv5)
        client.will_set(Topics(name).bundle_agent, b"offline", 1, True)

        def hear(client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
            order = read_order(bytes(message.payload), name, signed_for(self._key))
            report = Report(
                state="running", serial=order.serial, sha256=order.sha256, model="cell", model_sha256="cd" * 32
            )
            client.publish(Topics(name).bundle_reported, report.payload(), 1, True)

        def greet(client: paho.Client, *_: Any) -> None:
            with self._online.get_lock():
                self._online.value += 1
            client.subscribe(Topics(name).bundle_desired, 1)
            client.publish(Topics(name).bundle_agent, b"online", 1, True)
            report = Report(state="running", serial=0, sha256=None, model="cell", model_sha256="ef" * 32)
            client.publish(Topics(name).bundle_reported, report.payload(), 1, True)
            client.publish(f"{name}/status", json.dumps({"state": "online", "reason": ""}).encode(), 1, True)
            client.publish(f"{name}/model", json.dumps({"name": "cell", "sha256": "ef" * 32}).encode(), 1, True)
            for camera in ("top", "side"):
                counters = {"ok": 9900, "not_ok": 90, "not_decidable": 10, "discarded": 0, "drifts": False}
                client.publish(f"{name}/camera/{camera}/counters", json.dumps(counters).encode(), 1, True)

        client.on_message, client.on_connect = hear, greet
        client.connect("127.0.0.1", self._port, 300)
        return client


def serve(*what: Any) -> None:
    Simulated(*what).serve()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--stations", type=int, nargs="+", default=[500])
    arguments.add_argument("--max-queued", type=int, default=1000, help="of the broker for a client; its default")
    parsed = arguments.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the broker's, too, which has 1,024 by itself
    figures = describe("paho-mqtt") | {"max_queued": parsed.max_queued}
    figures["fleets"] = [measured(count, parsed.max_queued) for count in parsed.stations]
    json.dump(figures, sys.stdout, indent=2)
    sys.stdout.write("\n")


def measured(count: int, max_queued: int) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        port = stack.enter_context(running(Path(folder), max_queued))
        private = Ed25519PrivateKey.generate()
        public_file = Path(folder) / "site.pub"
        public_file.write_bytes(
            private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        names = [f"pwae/site/area/line/press-{number:05}" for number in range(count)]
        context = get_context("spawn")
        online, stop = context.Value("i", 0), context.Event()
        groups = [names[first : first + PER_PROCESS] for first in range(0, count, PER_PROCESS)]
        ready = context.Barrier(len(groups) + 1)
        processes = [
            context.Process(target=serve, args=(each, port, public_file, ready, online, stop)) for each in groups
        ]
        for process in processes:
            process.start()
            stack.callback(process.join)
        stack.callback(stop.set)
        ready.wait(120)
        started_s = time.perf_counter()
        while online.value < count:
            if not all(process.is_alive() for process in processes):
                raise SystemExit(f"{online.value} of {count} stations were online when a process of theirs ended")
            time.sleep(0.01)
        figures: dict[str, Any] = {
            "stations": count,
            "load_before": os.getloadavg()[0],
            "online_s": time.perf_counter() - started_s,
        }
        settings = FleetSettings.model_validate(
            {"broker": {"host": "127.0.0.1", "port": port}, "waves": [count], "watch_parts": 1}
        )
        stations = Stations(settings, "bench-fleet")
        with stations.follower:
            started_s = time.perf_counter()
            found = stations.read()
            figures |= {"read_s": time.perf_counter() - started_s, "read_stations": len(found)}
            figures["cameras"] = sum(len(each.cameras) for each in found.values())
            started_s = time.perf_counter()
            drawn = page(found, time.time())
            figures |= {"page_s": time.perf_counter() - started_s, "page_bytes": len(drawn)}
            roll_out = RollOut(settings.model_copy(update={"watch_within_s": 0.001}), stations, private, lambda _: None)
            started_s = time.perf_counter()
            told_s = []
            waiter = threading.Thread(
                target=lambda: told_s.append(stations.wait_for(lambda: _all_told(found), 300) and time.perf_counter())
            )
            waiter.start()
            try:
                roll_out.forth(PACKAGE)
            except RollOutError as stopped:  # nobody judges here: the watch ends it once all have reported
                if "parts within" not in str(stopped):
                    raise
            waiter.join()
            figures["order_to_last_report_s"] = told_s[0] - started_s
    return figures


def _all_told(found: dict[str, Any]) -> bool:
    return all(each.report is not None and each.report.sha256 == PACKAGE.sha256 for each in found.values())


if __name__ == "__main__":
    main()
