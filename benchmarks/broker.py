"""A real mosquitto on a free port, for the benchmarks."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(folder: Path, port: int, *, saves_every_change: bool = False, max_queued: int = 0) -> subprocess.Popen[bytes]:
    """Start a broker that keeps sessions and queues in `folder`, and wait until it listens.

    It saves once a second and at its end; with every change, which is slow, where it has to survive kill -9.
    """
    config = folder / "mosquitto.conf"
    config.write_text(
        f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages {max_queued}\n"
        f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n"
        f"autosave_on_changes {str(saves_every_change).lower()}\n"
    )
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") or "mosquitto"
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        except ConnectionRefusedError:
            time.sleep(0.01)


@contextmanager
def running(folder: Path, max_queued: int = 0) -> Iterator[int]:
    """A broker while the context lasts; gives its port."""
    port = free_port()
    process = start(folder, port, max_queued=max_queued)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()
