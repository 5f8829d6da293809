"""SCADA's ways in, against a real mosquitto on this machine: what the OPC UA gateway costs, and how late each way is.

    python benchmarks/bench_scada.py --rates 10 50 100 200 > benchmarks/results/scada.json

A simulated station tells JSON and Sparkplug B, the gateway hears the JSON, asyncua's client is subscribed to its
results. Delays are from the sending of an event's JSON to the OPC UA client, and from the picture to the Sparkplug
host; all on one clock.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import yaml
from asyncua import Client, ua
from broker import free_port, running
from machine import describe
from paho.mqtt.enums import CallbackAPIVersion

PREFIX = "pwae/site/area/line/bench"
GATEWAY = "from gateway.cli import opcua_gateway; opcua_gateway()"
STATION = "from runtime.cli import run_inspection; run_inspection()"
CAMERAS = 10
"""Each plays a tenth of the rate: one alone does not come to 100 a second."""
TICKS = os.sysconf("SC_CLK_TCK")
RESULT_READY_EVENT_TYPE = ua.NodeId(1024, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[10.0], help="events a second, one after the other")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each rate")
    arguments = parser.parse_args()
    result: dict[str, Any] = describe("p-wae", "asyncua", "paho-mqtt")
    result["load_before"] = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as scratch, running(Path(scratch)) as port:
        folder, opcua_port = Path(scratch), free_port()
        broker = {"host": "127.0.0.1", "port": port}
        gateway = {"stations": {"bench": PREFIX}, "broker": broker, "port": opcua_port}
        (folder / "gateway.yaml").write_text(yaml.safe_dump(gateway))
        cameras = {f"camera-{number}": {"kind": "folder", "path": scratch} for number in range(CAMERAS)}
        station = {"bundle": "no-bundle", "station": "bench", "cameras": cameras, "broker": broker}
        (folder / "station.yaml").write_text(yaml.safe_dump({**station, "sparkplug": {"group": "bench"}}))
        started_s = time.monotonic()
        command = [sys.executable, "-c", GATEWAY, "gateway.yaml"]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert any("broker connected" in line for line in process.stderr)
            result["start"] = {"s": round(time.monotonic() - started_s, 1), "cpu_s": cpu_s(process.pid)}
            result["rates"] = [
                asyncio.run(measure(folder, port, opcua_port, process.pid, rate, round(rate * arguments.seconds)))
                for rate in arguments.rates
            ]
            process.terminate()
    print(json.dumps(result, indent=2))


async def measure(folder: Path, port: int, opcua_port: int, gateway: int, rate: float, events: int) -> dict[str, Any]:
    """Let the station tell `events` at `rate` a second; gives what came and what it cost."""
    (client_of_broker, heard), delays_ms, came_s = host(port), list[float](), list[float]()

    class Handler:
        def event_notification(self, event: Any) -> None:
            sent = datetime.fromisoformat(json.loads(event.ResultContent[2].Value)["time"])
            delays_ms.append((datetime.now(UTC) - sent).total_seconds() * 1000)
            came_s.append(time.monotonic())

    async with Client(f"opc.tcp://127.0.0.1:{opcua_port}/") as client:
        await client.load_data_type_definitions()
        subscription = await client.create_subscription(10, Handler())
        await subscription.subscribe_events(client.get_node("ns=3;s=bench"), RESULT_READY_EVENT_TYPE)
        left_out = client.get_node("ns=3;s=MessagesLeftOut")
        left_out_before = await left_out.read_value()
        station = ["simulate", "station.yaml", "--rate", str(rate / CAMERAS), "--parts", str(events // CAMERAS)]
        before_s = cpu_s(gateway)
        await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", STATION, *station], cwd=folder, check=True, capture_output=True
        )
        await asyncio.sleep(5.0)
        used_s = cpu_s(gateway) - before_s
        messages_left_out = await left_out.read_value() - left_out_before
    client_of_broker.disconnect()
    events_per_s = (len(came_s) - 1) / (came_s[-1] - came_s[0])
    return {
        "events": events,
        "events_per_s": round(events_per_s, 1),
        "load": round(os.getloadavg()[0], 1),
        "gateway": {
            "events": len(delays_ms),
            "messages_left_out": messages_left_out,
            "core_ms_an_event": round(used_s * 1000 / events, 2),
            "cores": round(used_s / events * events_per_s, 3),
            "resident_mb": resident_mb(gateway),
            "delay_ms": percentiles(delays_ms),
        },
        "sparkplug": {
            "events": len(heard),
            "bytes": round(float(np.mean([size for size, _delay_ms in heard]))),
            "delay_ms": percentiles([delay_ms for _size, delay_ms in heard]),
        },
    }


def host(port: int) -> tuple[paho.Client, list[tuple[int, float]]]:
    """A Sparkplug host: gives it, and a list that fills with each event's size in bytes and its delay in ms."""
    heard: list[tuple[int, float]] = []
    subscribed = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe("spBv1.0/bench/DDATA/#")
    client.on_subscribe = lambda *_: subscribed.set()

    def note(_client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        if b"Verdict/Code" in message.payload:
            heard.append((len(message.payload), time.time() * 1000 - captured_ms(bytes(message.payload))))

    client.on_message = note
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert subscribed.wait(10.0)
    return client, heard


def captured_ms(payload: bytes) -> int:
    """Read the time of the metric Verdict/Code: the varint behind its name and the tag of field 3."""
    at = payload.index(b"Verdict/Code") + len(b"Verdict/Code") + 1
    value = shift = 0
    while True:
        value |= (payload[at] & 0x7F) << shift
        if payload[at] < 0x80:
            return value
        at, shift = at + 1, shift + 7


def percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 1) for share in (50, 99)}


def cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return round((int(fields[11]) + int(fields[12])) / TICKS, 2)


def resident_mb(process: int) -> float:
    return round(int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096 / 1e6, 1)


if __name__ == "__main__":
    main()
