"""The station that is abused: `run-inspection` as its own process, a real mosquitto, an MES, a camera, a page."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from core.pictures.picture_file import decode
from runtime.cameras.files import printable
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import write_config
from tests.runtime.contract import PREFIX
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import bad_picture, good_picture
from tests.runtime.servers import MjpegServer
from tests.runtime.small_bundle import write_bundle
from tests.runtime.web import ask

PATIENCE_S = 60.0
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
SCRIPT = "from runtime.cli import run_inspection; run_inspection()"
CLOCKED = f"""
import pathlib, time
true, ahead = time.time, pathlib.Path("clock")
time.time = lambda: true() + float(ahead.read_text())
{SCRIPT}
"""
"""The same, whose clock can be set: the file `clock` says by how many seconds."""
VERBS = ["pause", "resume", "snapshot", "reload", "recalibrate"]


@dataclass
class Outcome:
    """What came of one kind."""

    tried: int
    told: int
    lost: int = 0
    passed: int = 0
    survived: int = 0

    @property
    def is_well(self) -> bool:
        return self.survived == self.told == self.tried and not self.lost and not self.passed

    def row(self, kind: str) -> str:
        return f"| {kind} | {self.tried} | {self.survived} | {self.told} | {self.lost} | {self.passed} |"


class Station:
    """Watched folders, `in` and `slow`, and one camera that waits for triggers, `belt`; everything else switched on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundle = write_bundle(folder / "bundle")
        self.inbox = folder / "inbox"
        self.inbox.mkdir()
        self.slow = folder / "slow"
        """Watched too, and patient with uploads that pause."""
        self.slow.mkdir()
        self.set_clock(0.0)
        self.broker = Mosquitto(folder, "allow_anonymous true\nautosave_on_changes true\n")
        self.broker.start()
        self.mes = Subscriber(self.broker.port)
        self.camera = MjpegServer()
        view = free_port()
        self.address = f"http://127.0.0.1:{view}"
        cameras = {
            "in": {"kind": "watch", "path": str(self.inbox), "unreadable_after_s": 0.5},
            "slow": {"kind": "watch", "path": str(self.slow), "unreadable_after_s": 30},
            "belt": {"kind": "http", "url": self.camera.url, "trigger": {"tolerance_ms": 5000}},
        }
        self.config = write_config(
            *(folder, self.bundle, cameras),
            broker={"host": "127.0.0.1", "port": self.broker.port},
            commands=VERBS,
            evidence={"folder": str(folder / "evidence"), "min_free_bytes": 0},
            view={"port": view},
        )
        self._number = 0
        self.process = self._start()

    def __enter__(self) -> "Station":
        return self

    def __exit__(self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        self.process.terminate()
        self.process.wait()
        self.camera.close()
        self.mes.close()
        self.broker.stop()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", CLOCKED, str(self.config)]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=ENVIRONMENT)
        wait(lambda: process.poll() is not None or self.problems() == [])
        assert self.problems() == [], self.log
        return process

    def kill(self) -> None:
        """kill -9, and start again."""
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def revive(self) -> None:
        """Start again where it was ended."""
        if self.process.poll() is not None:
            self.kill()

    @property
    def log(self) -> str:
        """What the station has said so far."""
        return (self.folder / "log").read_text()

    def set_clock(self, ahead_s: float) -> None:
        """Set the station's clock to `ahead_s` ahead of the true time, in one step."""
        new = self.folder / "clock.new"
        new.write_text(str(ahead_s))
        new.rename(self.folder / "clock")

    def restart_broker(self) -> None:
        """kill -9, and start again."""
        self.broker.stop(signal.SIGKILL)
        self.broker.start()

    def has_problem(self, words: str) -> bool:
        """Whether /readyz says so now."""
        return any(words in problem for problem in self.problems() or [])

    def problems(self) -> list[str] | None:
        """What /readyz says; None where nobody answers."""
        try:
            code, body = ask(f"{self.address}/readyz")
        except (urllib.error.URLError, ConnectionError):
            return None
        return [] if code == 200 else body.decode().splitlines()

    def is_told(self, words: str) -> bool:
        """Whether /readyz and the status topic say so soon."""
        return wait(
            lambda: (
                any(words in problem for problem in self.problems() or [])
                and words in self.mes.events("test-1/status")[-1]["reason"]
            )
        )

    def name(self, suffix: str = ".png") -> str:
        """A name that was never used."""
        self._number += 1
        return f"part-{self._number:05}{suffix}"

    def put(self, name: str | bytes, data: bytes) -> str:
        """Put a file into the inbox in one step; gives the name that events carry."""
        path = self.inbox / os.fsdecode(name)
        part = self.folder / "arriving"
        part.write_bytes(data)
        part.rename(path)
        return printable(path.relative_to(self.inbox))

    def verdicts(self, sources: Collection[str], camera: str = "in") -> dict[str, list[str]]:
        """What was said of each picture by name, once all are told, or after some patience."""

        def said() -> dict[str, dict[str, str]]:
            found: dict[str, dict[str, str]] = {source: {} for source in sources}
            for event in self.mes.events():
                if event["camera"] == camera and event["frame"]["source"] in found:
                    found[event["frame"]["source"]][event["id"]] = event["verdict"]["name"]
            return found

        wait(lambda: all(said().values()))
        return {source: list(by_id.values()) for source, by_id in said().items()}

    def works(self) -> bool:
        """Whether the same process judges a good part OK and a bad one NotOK."""
        good, bad = self.put(self.name(), png(good_picture(1))), self.put(self.name(), png(bad_picture(1)))
        said = self.verdicts([good, bad])
        return self.process.poll() is None and said == {good: ["OK"], bad: ["NotOK"]}

    def command(self, verb: str, **keys: Any) -> dict[str, Any]:
        """Ask for something; gives the reply, or nothing after some patience."""
        self._number += 1
        request = f"abuse-{self._number}"
        self.mes.send(f"{PREFIX}/cmd/{verb}", json.dumps({"request_id": request, "by": "Ada", **keys}).encode())
        answers: list[dict[str, Any]] = []

        def is_answered() -> bool:
            answers[:] = [each for each in self.mes.events("/cmd_reply") if each["request_id"] == request]
            return bool(answers)

        wait(is_answered)
        return answers[0] if answers else {}


def wait(reached: Callable[[], bool]) -> bool:
    """Wait for a state with some patience; whether it came."""
    until_s = time.monotonic() + PATIENCE_S
    while not reached():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.02)
    return True


def png(picture: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """A picture's file, whole."""
    data = cv2.imencode(".png", picture)[1].tobytes()
    assert decode(data) is not None
    return data


def judged(station: Station, names: list[str], verdict: str) -> Outcome:
    """Hold what was said of pictures against the one verdict that is right."""
    said = station.verdicts(names)
    passed = sum("OK" in verdicts for verdicts in said.values()) if verdict != "OK" else 0
    lost = sum(len(verdicts) != 1 for verdicts in said.values())
    return Outcome(len(names), sum(verdicts == [verdict] for verdicts in said.values()), lost, passed)
