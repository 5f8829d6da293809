"""Real parts for the runtime's tests: a small ONNX bundle, pictures on disk, a mosquitto on a free port."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import paho.mqtt.client as paho
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from core.thresholds import calibrate
from runtime.bundles.bundle import save_manifest, sha256_of
from runtime.bundles.manifest import MODEL, Manifest

SIZE = 48
"""Input height and width of the test bundle."""
GRID = 3
GOOD_GREY = 120
"""What a good part looks like to the test bundle: every value near this."""
WAIT_S = 20.0


def good_picture(seed: int, size: tuple[int, int] = (SIZE, SIZE)) -> NDArray[np.uint8]:
    """A good part (H, W, 3): even grey with a little noise."""
    noise = np.random.default_rng(seed).integers(-6, 7, (*size, 3))
    return (GOOD_GREY + noise).astype(np.uint8)


def bad_picture(seed: int, size: tuple[int, int] = (SIZE, SIZE)) -> NDArray[np.uint8]:
    """A defective part: a bright spot in the middle tile."""
    picture = good_picture(seed, size)
    height, width = size
    picture[height * 4 // 9 : height * 5 // 9, width * 4 // 9 : width * 5 // 9] = 255
    return picture


def expected_errors(frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The test model in NumPy: e_0 and e_1..e_9 of a frame (SIZE, SIZE, 3)."""
    error = (((frame.astype(np.float64) - GOOD_GREY) / 255) ** 2).mean(axis=2)
    tile = SIZE // GRID
    tiles = error.reshape(GRID, tile, GRID, tile).mean(axis=(1, 3)).ravel()
    return np.concatenate([[error.mean()], tiles])


def write_bundle(path: Path, grey: float = GOOD_GREY) -> Path:
    """Write a bundle whose model is the squared difference from even `grey`."""
    path.mkdir()
    tile = SIZE // GRID
    constants = {
        "grey": np.array([grey], np.float32),
        "scale": np.array([1 / 255], np.float32),
        "channel_axis": np.array([3], np.int64),
        "place_axes": np.array([1, 2], np.int64),
        "in_tiles": np.array([0, GRID, tile, GRID, tile], np.int64),
        "tile_axes": np.array([2, 4], np.int64),
        "as_row": np.array([0, GRID * GRID], np.int64),
        "one": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["frames_bgr_u8"], ["frames"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["frames", "grey"], ["difference"]),
        helper.make_node("Mul", ["difference", "scale"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "scaled"], ["squared"]),
        helper.make_node("ReduceMean", ["squared", "channel_axis"], ["error_map"], keepdims=0),
        helper.make_node("ReduceMean", ["error_map", "place_axes"], ["image"], keepdims=0),
        helper.make_node("Unsqueeze", ["image", "one"], ["image_column"]),
        helper.make_node("Reshape", ["error_map", "in_tiles"], ["tiled"]),
        helper.make_node("ReduceMean", ["tiled", "tile_axes"], ["tile_errors"], keepdims=0),
        helper.make_node("Reshape", ["tile_errors", "as_row"], ["tile_rows"]),
        helper.make_node("Concat", ["image_column", "tile_rows"], ["errors"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "even_grey",
        [helper.make_tensor_value_info("frames_bgr_u8", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("errors", TensorProto.FLOAT, ["n", GRID * GRID + 1]),
            helper.make_tensor_value_info("error_map", TensorProto.FLOAT, ["n", SIZE, SIZE]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path / MODEL)
    errors = np.stack([expected_errors(good_picture(10_000 + seed)) for seed in range(200)])
    manifest = Manifest(
        name="even-grey",
        created="2026-11-23T22:05:00Z",
        height=SIZE,
        width=SIZE,
        grid=GRID,
        precision="fp32",
        score_unit="mean squared pixel error",
        thresholds=calibrate(errors * 1.5, 0.01),
        provenance={},
        files={MODEL: sha256_of(path / MODEL)},
    )
    save_manifest(path, manifest)
    return path


def write_pictures(folder: Path, good: int, bad: int = 0) -> Path:
    """Write `good` good parts and then `bad` defective ones, in name order."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(good + bad):
        picture = good_picture(index) if index < good else bad_picture(index)
        assert cv2.imwrite(str(folder / f"{index:05}.png"), picture)
    return folder


def write_video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((48, 64, 3), number * 10, np.uint8))
    writer.release()
    return path


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
        until_s = time.monotonic() + WAIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < until_s, "mosquitto does not start"
                time.sleep(0.005)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(WAIT_S)
            self.process = None

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
        client.on_message = lambda _client, _userdata, message: (given.append(message), arrived.set())
        client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        assert arrived.wait(WAIT_S), f"nothing retained on {topic}"
        client.disconnect()
        client.loop_stop()
        assert given[0].retain
        return given[0]


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait for a state that has no event of its own."""
    until_s = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < until_s, "it never came"
        time.sleep(0.002)


class Subscriber:
    """An MES: subscribes with a session that outlives its connection, keeps all it gets, and can be waited on."""

    def __init__(self, port: int, topic: str = "#") -> None:
        self.port = port
        self.messages: list[paho.MQTTMessage] = []
        self._changed = threading.Condition()
        subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, f"mes-{port}", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = self._on_message
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(WAIT_S)

    def _on_message(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def wait_for(self, reached: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(reached, WAIT_S), f"{len(self.messages)} messages, still waiting"

    def send(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1."""
        self._client.publish(topic, payload, qos=1)

    def send_until(self, topic: str, payload: bytes, reached: Callable[[], bool]) -> None:
        """Publish again and again until it was heard: a subscription is not in force the moment we connect."""
        until_s = time.monotonic() + WAIT_S
        while not reached():
            assert time.monotonic() < until_s, "it was never heard"
            self.send(topic, payload)
            time.sleep(0.05)

    def events(self, leaf: str = "result") -> list[dict[str, Any]]:
        return [json.loads(message.payload) for message in list(self.messages) if message.topic.endswith(leaf)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def write_config(path: Path, bundle: Path, cameras: dict[str, Any], **sections: Any) -> Path:
    """Write a `run-inspection` configuration into the folder `path`."""
    content = {
        "bundle": str(bundle),
        "station": "test-1",
        "cameras": cameras,
        "outbox": {"path": str(path / "outbox.sqlite")},
        **sections,
    }
    config = path / "inspection.yaml"
    config.write_text(yaml.safe_dump(content))
    return config


def run_command(*arguments: str | Path, folder: Path | None = None) -> subprocess.Popen[str]:
    """Start `run-inspection` as its own process; without `folder`, in the one of the configuration named first."""
    return subprocess.Popen(
        [sys.executable, "-c", "from runtime.cli import run_inspection; run_inspection()", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder or Path(arguments[0]).parent,
    )
