"""A device of Video4Linux that is none, and a process that films with it: see stand_in_device/device.c."""

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.runtime.waiting import WAIT_S

SOURCE = Path(__file__).parent / "stand_in_device" / "device.c"
DAMAGED = 0x40
"""The flag by which a driver says that a frame lost data (V4L2_BUF_FLAG_ERROR)."""


class Shot(NamedTuple):
    """A frame as the driver hands it over."""

    content: bytes
    flags: int = 0
    pause_ms: int = 20
    """Before it comes."""


class Device:
    """Lies in a folder of its own; each process that films with it sees all of its frames, and then it is gone."""

    def __init__(self, folder: Path) -> None:
        """Compile it. Skips the test where there is no C compiler."""
        if not shutil.which("cc"):
            pytest.skip("no C compiler for the device")
        self.path = folder / "video0"
        self._library = folder / "device.so"
        flags = ["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
        subprocess.run(["cc", *flags, SOURCE, "-o", self._library, "-ldl", "-lpthread"], check=True)
        os.mkfifo(self.path)

    def has(self, layout: str, size: tuple[int, int], shots: Sequence[Shot]) -> None:
        """Give it frames of `size` (width, height) in the `layout` of four letters."""
        head = f"{layout.strip()} {size[0]} {size[1]} {max(len(shot.content) for shot in shots)}\n"
        frames = [struct.pack("III", shot.pause_ms, len(shot.content), shot.flags) + shot.content for shot in shots]
        self.path.with_name("video0.frames").write_bytes(head.encode() + b"".join(frames))

    def refuses(self, why: int) -> None:
        """Let it be opened by nobody; `why` is the system's number."""
        self.path.with_name("video0.frames").write_text(f"- 0 0 {why}\n")

    @property
    def asked(self) -> list[str]:
        """Which sizes it was asked for since it was opened last."""
        return self.path.with_name("video0.asked").read_text().splitlines()

    def film(self, script: str, *arguments: str) -> Any:
        """Let a process run `script`, in which `path` is the device's, and give its `told` as JSON holds it."""
        ending = "print(json.dumps(told), flush=True); os._exit(0)"
        whole = f"import json, os, sys\npath, *arguments = sys.argv[1:]\n{script}\n{ending}"
        ran = subprocess.run(
            [sys.executable, "-c", whole, str(self.path), *arguments],
            env={**os.environ, "LD_PRELOAD": str(self._library), "V4L2_STAND_IN": str(self.path)},
            check=True,
            stdout=subprocess.PIPE,
            timeout=2 * WAIT_S,
        )
        return json.loads(ran.stdout)
