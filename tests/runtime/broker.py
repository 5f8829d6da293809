"""A real mosquitto on a free port."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.runtime.waiting import WAIT_S, wait_for_port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Mosquitto:
    """A real broker that can be killed and restarted on the same port; sessions and queues survive on disk."""

    folder: Path
    extra: str = "allow_anonymous true\n"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\npersistence true\npersistence_location {self.folder}/\n"
            f"autosave_interval 1\nmax_queued_messages 0\n{self.extra}"
        )
        command = [shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") or "mosquitto", "-c", str(config)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.port)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        until_s = time.monotonic() + WAIT_S
        while self.process is not None:
            self.process.send_signal(how)
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(1)
                self.process = None
            except subprocess.TimeoutExpired:
                # It listens before it heeds signals: one that comes between the two is lost.
                assert time.monotonic() < until_s, "mosquitto does not end"

    def forget(self) -> None:
        """Lose retained messages and sessions, as after a new installation."""
        (self.folder / "mosquitto.db").unlink(missing_ok=True)

    def password_file(self, user: str, password: str) -> str:
        """Configuration lines that ask for a password."""
        path = self.folder / "passwords"
        subprocess.run(["mosquitto_passwd", "-b", "-c", str(path), user, password], check=True)
        path.chmod(0o644)
        return f"allow_anonymous false\npassword_file {path}\n"

    def retained(self, topic: str) -> paho.MQTTMessage:
        """What a client that subscribes now is given on `topic`."""
        given: list[paho.MQTTMessage] = []
        arrived = threading.Event()
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)

        def arrive(client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
            if not message.retain:  # published just now: a new subscription is given what is retained since
                client.subscribe(topic, qos=1)
                return
            given.append(message)
            arrived.set()

        client.on_message = arrive
        client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        assert arrived.wait(WAIT_S), f"nothing retained on {topic}"
        client.disconnect()
        client.loop_stop()
        return given[0]
