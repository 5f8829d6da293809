"""Strangers at the gateway's port: what they send fills no log."""

import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import yaml

from tests.gateway.test_signals import PROGRAM
from tests.runtime.broker import free_port
from tests.runtime.waiting import WAIT_S, wait_until

URL = b"opc.tcp://127.0.0.1/"
HELLO = b"HELF" + struct.pack("<6Ii", 32 + len(URL), 0, 65536, 65536, 0, 0, len(URL)) + URL
AT_ONCE = struct.pack("ii", 1, 0)
"""To close without a word (RST)."""


def test_who_asks_on_and_on_and_hangs_up_is_no_line_in_the_log_each_time(tmp_path: Path) -> None:
    port = free_port()
    config = {"stations": {"press-3": "plant/press-3"}, "broker": {"host": "127.0.0.1", "port": free_port()}}
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump({**config, "port": port}))
    log = tmp_path / "log"
    with log.open("wb") as told:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path / "gateway.yaml")], stderr=told)
    try:
        wait_until(lambda: "serving" in log.read_text() or process.poll() is not None)
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), WAIT_S) as stranger:
                stranger.sendall(HELLO * 100)
                stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as another:
            another.sendall(HELLO)
            assert another.recv(3) == b"ACK", "whoever comes behind them is heard"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    assert len(log.read_text().splitlines()) < 10
