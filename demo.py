"""The whole line on one machine: train on good solar cells, export, judge the test cells as a camera, listen as a MES.

`make demo` runs it. Every step is the command a user would type; every figure comes from the events received over MQTT
or from the files that the commands wrote.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
import yaml
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console
from rich.table import Table

from assessment.metrics import image_metrics
from core.cli import run
from core.datasets.dataset import labelled_samples
from core.datasets.layout import GOOD
from core.errors import PwaeError
from runtime.mqtt.embedded_broker import EmbeddedBroker

CONFIG = Path("configs/elpv-mono.yaml")
OUTPUT = Path("demo-out")
DATA = "elpv:mono"
TOPIC = "pwae/demo/cells/line-1/station-1"
console = Console()


def main() -> None:
    """Run the line from pictures to verdicts, and print what came of it."""
    OUTPUT.mkdir(exist_ok=True)
    checkpoint = Path(yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["output"]) / "checkpoint"
    bundle = OUTPUT / "elpv-mono.bundle"
    _command("train-model", str(CONFIG), "--replace")
    # Neither needs what the other makes, and each leaves a core idle for a part of its time.
    with _begun("export-engine", str(checkpoint), "--output", str(bundle)) as exported:
        _command("evaluate-model", str(checkpoint), DATA, "--output", str(OUTPUT))
        cells = _lay_out_cells(OUTPUT / "cells")
        exported()

    with EmbeddedBroker(_free_port()) as broker, _Mes(broker.port) as mes:
        config = OUTPUT / "inspection.yaml"
        config.write_text(yaml.safe_dump(_inspection(bundle, cells, broker.port), sort_keys=False), encoding="utf-8")
        summary_file = OUTPUT / "inspection.json"
        (OUTPUT / "outbox.sqlite").unlink(missing_ok=True)
        _command("run-inspection", str(config), "--summary-json", str(summary_file))
        summary = json.loads(summary_file.read_text(encoding="utf-8"))
        received = mes.wait_for(summary["acknowledged"])

    _print_result(received, summary)
    if len(received) != summary["acknowledged"] or summary["waiting"]:
        raise PwaeError(f"{summary['acknowledged']} events were acknowledged, {len(received)} received.")
    console.print(f"pictures: {OUTPUT / 'contact_sheet.png'}")
    console.print(f"next: put your broker's host and your cameras into {config}, then: run-inspection {config}")


class _Mes:
    """What a MES does: subscribe to the results and keep each event once, by its id."""

    def __init__(self, port: int) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "demo-mes", protocol=mqtt.MQTTv311)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{TOPIC}/camera/+/result", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._keep
        self._port = port

    def __enter__(self) -> "_Mes":
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        if not self._subscribed.wait(10):
            raise PwaeError("the demo's MES could not subscribe to the broker.")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Wait until `count` events are here, 30 s at most."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.events) >= count, 30)
            return list(self.events.values())

    def _keep(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        event = json.loads(message.payload)
        with self._changed:
            self.events[event["id"]] = event
            self._changed.notify_all()


def _command(name: str, *arguments: str) -> None:
    """Run one of the project's commands from this environment; its failure is the demo's."""
    console.rule(" ".join([name, *arguments]))
    finished = subprocess.run([str(Path(sys.executable).parent / name), *arguments], check=False)  # noqa: S603
    _require_success(name, finished.returncode)


@contextlib.contextmanager
def _begun(name: str, *arguments: str) -> Iterator[Callable[[], None]]:
    """Begin a command as `_command` runs one; what is given waits for its end, and then shows what it said."""
    command = [str(Path(sys.executable).parent / name), *arguments]
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as process:  # noqa: S603

        def ended() -> None:
            code = process.wait()
            console.rule(" ".join([name, *arguments]))
            said.seek(0)
            sys.stdout.write(said.read().decode(errors="replace"))
            sys.stdout.flush()
            _require_success(name, code)

        try:
            yield ended
        finally:
            process.kill()


def _require_success(name: str, code: int) -> None:
    if code:
        raise PwaeError(f"{name} ended with exit code {code}; its message stands above.")


def _lay_out_cells(folder: Path) -> Path:
    """Lay the test cells out as a camera would see them: a folder, the kind in the file's path."""
    shutil.rmtree(folder, ignore_errors=True)
    for sample in labelled_samples(DATA):
        target = folder / sample.kind / sample.path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, target)
    return folder


def _inspection(bundle: Path, cells: Path, port: int) -> dict[str, Any]:
    return {
        "bundle": str(bundle),
        "site": "demo",
        "area": "cells",
        "line": "line-1",
        "station": "station-1",
        "cameras": {"top": {"kind": "folder", "path": str(cells)}},
        # The broker embedded in the demo speaks 3.1.1; for yours, put its host here.
        "broker": {"host": "127.0.0.1", "port": port, "protocol": "3.1.1"},
        "outbox": {"path": str(OUTPUT / "outbox.sqlite")},
    }


def _print_result(events: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    """Print what the MES can say from the events alone, the labels coming from the files' folders."""
    defective = np.array([Path(event["frame"]["source"]).parts[0] != GOOD for event in events])
    metrics = image_metrics(np.array([_ranking(event) for event in events]), defective)
    good, bad = int((~defective).sum()), int(defective.sum())
    table = Table("measure", "value", title=f"{good} good and {bad} defective cells")
    table.add_row("AUROC", f"{metrics['auroc']:.3f}")
    table.add_row("balanced accuracy at the calibrated thresholds", f"{metrics['balanced_accuracy']:.3f}")
    table.add_row("good cells rejected", f"{metrics['false_reject_rate']:.1%}")
    table.add_row("defective cells missed", f"{metrics['miss_rate']:.1%}")
    table.add_row("images per second, end to end", f"{summary['images_per_s']:.1f}")
    table.add_row("events sent / received", f"{summary['acknowledged']} / {len(events)}")
    console.print(table)


def _ranking(event: dict[str, Any]) -> float:
    """The largest error over its threshold; a part that could not be judged is rejected."""
    if event["score"] is None:
        return float("inf")
    return float(max(part["value"] / part["threshold"] for part in (event["score"], *event["tiles"])))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    run(main)
