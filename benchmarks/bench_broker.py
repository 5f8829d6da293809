"""What one mosquitto bears: memory of a session, processor time of a part, and the same where it saves every change.

Processor time is the broker's own, so that other work on the machine falsifies it little. From this folder:
`PYTHONPATH=.. python bench_broker.py --sessions 10000 | tee results/broker.json`
"""

import argparse
import json
import os
import resource
import socket
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from broker import free_port, start
from machine import describe
from paho.mqtt.enums import CallbackAPIVersion

EVENT, COUNTERS = b"e" * 1600, b"c" * 150
PREFIX = "pwae/site/area/line"
OPEN_FILES = 1024
"""systemd's DefaultLimitNOFILE, soft."""
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def resident_mb(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def processor_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def connect(port: int, number: int) -> socket.socket:
    """Log in with MQTT 3.1.1, in as few bytes as that takes, and wait for the answer."""
    name = f"idle-{number:06}".encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack(">H", len(name)) + name
    session = socket.create_connection(("127.0.0.1", port))
    session.sendall(b"\x10" + bytes([len(body)]) + body)
    if session.recv(4) != b"\x20\x02\x00\x00":
        raise ConnectionRefusedError(f"session {number} was refused")
    return session


def sessions(count: int) -> dict[str, Any]:
    """Idle sessions: time and memory."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        broker = start(Path(folder), port)
        before_mb, started_s = resident_mb(broker.pid), time.perf_counter()
        held = [connect(port, number) for number in range(count)]
        took_s, after_mb = time.perf_counter() - started_s, resident_mb(broker.pid)
        for session in held:
            session.close()
        broker.terminate()
        broker.wait()
    return {"sessions": count, "connect_s": took_s, "kb_each": (after_mb - before_mb) * 1000 / count}


def sessions_of_a_service() -> dict[str, int]:
    """How many sessions a broker bears that may have as many files open as a service where nobody says otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        broker = start(Path(folder), port)
        resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
        held: list[socket.socket] = []
        try:
            while len(held) < OPEN_FILES:
                held.append(connect(port, len(held)))
        except OSError:
            pass
        for session in held:
            session.close()
        broker.terminate()
        broker.wait()
    return {"open_files": OPEN_FILES, "sessions": len(held)}


def parts(count: int, stations: int, saves_every_change: bool) -> dict[str, Any]:
    """What a part costs: its event to an MES, `last` and `counters` retained, among the topics of many stations."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        broker = start(Path(folder), port, saves_every_change=False)
        station, mes = (paho.Client(CallbackAPIVersion.VERSION2, name) for name in ("station", "mes"))
        arrived, acknowledged = threading.Semaphore(0), threading.Semaphore(0)
        mes.on_message = lambda *_: arrived.release()
        station.on_publish = lambda *_: acknowledged.release()
        subscribed = threading.Event()
        mes.on_subscribe = lambda *_: subscribed.set()
        mes.on_connect = lambda client, *_: client.subscribe(f"{PREFIX}/+/camera/+/result", 1)
        station.connect("127.0.0.1", port)
        station.loop_start()
        for number in range(stations):
            for camera in ("top", "side"):
                station.publish(f"{PREFIX}/s{number}/camera/{camera}/last", EVENT, 1, True)
                station.publish(f"{PREFIX}/s{number}/camera/{camera}/counters", COUNTERS, 1, True)
        for _ in range(4 * stations):
            acknowledged.acquire()
        if saves_every_change:
            station.loop_stop()
            station.disconnect()
            broker.terminate()
            broker.wait()
            broker = start(Path(folder), port, saves_every_change=True)
            station.connect("127.0.0.1", port)
            station.loop_start()
        mes.connect("127.0.0.1", port)
        mes.loop_start()
        subscribed.wait()
        used_s, started_s = processor_s(broker.pid), time.perf_counter()
        for number in range(count):
            topic = f"{PREFIX}/s{number % stations}/camera/top"
            station.publish(f"{topic}/result", EVENT, 1)
            station.publish(f"{topic}/last", EVENT, 1, True)
            station.publish(f"{topic}/counters", COUNTERS, 1, True)
        for _ in range(3 * count):
            acknowledged.acquire()
        for _ in range(count):
            arrived.acquire()
        took_s, used_s = time.perf_counter() - started_s, processor_s(broker.pid) - used_s
        for client in (station, mes):
            client.disconnect()
            client.loop_stop()
        broker.terminate()
        broker.wait()
        stored_mb = (Path(folder) / "mosquitto.db").stat().st_size / 1e6
    return {
        "stations": stations,
        "saves_every_change": saves_every_change,
        "parts": count,
        "parts_per_s": count / took_s,
        "broker_ms_a_part": used_s * 1000 / count,
        "parts_per_s_of_a_core": count / used_s,
        "stored_mb": stored_mb,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sessions", type=int, default=10_000)
    asked = arguments.parse_args().sessions
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    result = {
        **describe("paho-mqtt"),
        "sessions": sessions(asked),
        "sessions_of_a_service": sessions_of_a_service(),
        "parts": [parts(20_000, 1, False), parts(20_000, 500, False), parts(300, 1, True), parts(300, 500, True)],
    }
    json.dump(result, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
