"""GigE Vision cameras for the tests, of two makers: viva-genicam's fake in this process, Debian's Aravis in its own.

A camera answers on port 3956, so there is one on a machine at a time: tests take turns, also those of two sessions.
"""

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from runtime.cameras.factory.discovery import find_cameras
from runtime.cameras.settings import GenicamSettings, GentlSettings
from tests.runtime.waiting import WAIT_S, wait_until

HOST = "127.0.0.1"
KINDS = ("viva", "aravis")
ARAVIS = "arv-fake-gv-camera-0.8"
SERIALS = {"viva": "VIVA-FAKE-001", "aravis": "GV01"}
SIZE = (64, 96)
"""Height and width that both are set to."""


@contextmanager
def sole_use() -> Iterator[None]:
    """Wait until no other test on this machine has a camera."""
    with (Path(tempfile.gettempdir()) / "pwae-tests-gige.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class FactoryCamera:
    """A camera that can be switched off and on. `options` are the fake's own."""

    def __init__(self, kind: str, **options: Any) -> None:
        self.kind = kind
        self.fake: Any = None
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "FactoryCamera":
        self.on()
        return self

    def __exit__(self, *_: object) -> None:
        self.off()

    def on(self) -> None:
        if self.kind == "viva":
            fakes = pytest.importorskip("viva_genicam.testing", reason="viva-genicam is not installed")
            self.fake = fakes.FakeGigeCamera(**{"width": SIZE[1], "height": SIZE[0], "fps": 25, **self._options})
            self.fake.start()
            return
        program = shutil.which(ARAVIS)
        if program is None:
            pytest.skip("no second GigE Vision camera: apt-get install aravis-tools")
        command = [program, "-i", HOST, *self._options.get("arguments", [])]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: bool(found()))

    def off(self) -> None:
        """Without a word, as when its power is cut."""
        if self.fake is not None:
            self.fake.stop()
            self.fake = None
        if self._process is not None:
            self._process.kill()
            self._process.wait(WAIT_S)
            self._process = None

    def settings(self, **changed: Any) -> GenicamSettings | GentlSettings:
        """What connects to it; `features` beside those that make both cameras alike."""
        return GenicamSettings.model_validate(self.section(**changed))

    def section(self, **changed: Any) -> dict[str, Any]:
        """The same as a section of the configuration file."""
        # viva's has one pixel format, that it was made with, and its rate has to be enabled.
        own = {"AcquisitionFrameRateEnable": True} if self.kind == "viva" else {"PixelFormat": "Mono8"}
        features = {"Width": SIZE[1], "Height": SIZE[0], **own, "AcquisitionFrameRate": 25.0}
        return {
            "kind": "genicam",
            "address": HOST,
            "interface": HOST,
            "timeout_s": 2,
            **changed,
            "features": {**features, **changed.get("features", {})},
        }


def found() -> list[Any]:
    """The cameras that answer on this machine itself."""
    with suppress(OSError):
        return find_cameras(HOST)
    return []
