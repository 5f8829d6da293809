"""The examples run as they stand."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import cv2
import pytest
from paho.mqtt import publish

from tests.runtime.broker import Mosquitto
from tests.runtime.command import run_command, write_config
from tests.runtime.pictures import bad_picture, good_picture, write_pictures
from tests.runtime.small_bundle import write_bundle
from tests.runtime.waiting import WAIT_S, wait_until

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


def run(example: str, *arguments: object) -> str:
    program = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", program, str(EXAMPLES / example), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "even-grey")


def test_a_folder_gives_a_verdict_a_picture(bundle: Path, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", good=3, bad=2)
    lines = [line.split() for line in run("folder_to_verdicts.py", bundle, pictures).splitlines()]
    assert [line[1] for line in lines] == ["OK"] * 3 + ["NotOK"] * 2
    assert all(float(line[2]) > 1 for line in lines[3:])


def test_a_backend_of_your_own_judges_by_its_own_errors(bundle: Path, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", good=2, bad=1)
    assert cv2.imwrite(str(tmp_path / "golden.png"), good_picture(5) // 6 * 6)
    lines = run("backend.py", bundle, tmp_path / "golden.png", pictures).splitlines()
    assert lines[-1] == "00002.png NotOK"
    assert len(lines) == 3


def test_a_camera_kind_of_your_own_is_judged(bundle: Path, tmp_path: Path, mosquitto: Mosquitto) -> None:
    camera = {"kind": "folder", "path": str(tmp_path)}
    config = write_config(tmp_path, bundle, {"top": camera}, broker={"host": "127.0.0.1", "port": mosquitto.port})
    picture = tmp_path / "bad.png"
    assert cv2.imwrite(str(picture), bad_picture(1))
    assert run("camera_kind.py", config, "cat", picture).strip() == "{'OK': 0, 'NotOK': 3, 'NotDecidable': 0}"
    assert run("camera_kind.py", config, "true").strip() == "{'OK': 0, 'NotOK': 0, 'NotDecidable': 3}"


@contextmanager
def subscribing(port: int, database: Path) -> Iterator["subprocess.Popen[str]"]:
    """The subscriber, once it hears; it is killed at the end, as by a power cut."""
    command = [sys.executable, str(EXAMPLES / "mes_subscriber.py"), "127.0.0.1", str(port), str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as subscriber:
        try:
            yield subscriber
        finally:
            subscriber.kill()


def has_subscribed(subscriber: "subprocess.Popen[str]") -> bool:
    assert subscriber.stdout is not None
    return subscriber.stdout.readline() == "subscribed\n"


def test_a_subscriber_keeps_each_event_once_also_one_that_comes_twice_and_where_it_is_killed(
    bundle: Path, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    database = tmp_path / "events.sqlite"
    camera = {"kind": "folder", "path": str(write_pictures(tmp_path / "pictures", good=40, bad=1)), "max_fps": 40}
    broker = {"host": "127.0.0.1", "port": mosquitto.port}
    with subscribing(mosquitto.port, database) as subscriber:
        assert has_subscribed(subscriber)
        process = run_command(write_config(tmp_path, bundle, {"top": camera}, broker=broker))
        wait_until(lambda: len(kept(database)) >= 5)
    with subscribing(mosquitto.port, database) as subscriber:
        assert has_subscribed(subscriber)
        _out, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, err
        wait_until(lambda: len(kept(database)) == 41)
        first = json.loads(kept(database)[0][2])
        for event in (first, first, {**first, "id": "another", "seq": 42}):
            say(mosquitto, "result", json.dumps(event).encode())
        wait_until(lambda: len(kept(database)) >= 42)
    assert [row[0] for row in kept(database)] == list(range(1, 43))
    assert [row[1] for row in kept(database)][:41] == ["OK"] * 40 + ["NotOK"]


def test_a_subscriber_keeps_gaps_and_what_is_neither_holds_up_nothing(tmp_path: Path, mosquitto: Mosquitto) -> None:
    database = tmp_path / "events.sqlite"
    part = {"id": "i", "source": "s/top", "boot_id": "b", "seq": 3, "verdict": {"name": "OK"}}
    gap = {"id": "g", "source": "s/top", "boot_id": "b", "first_seq": 1, "last_seq": 2}
    odd = [b"", b"no JSON", b"[]", b"\xff", b"{}", json.dumps({**part, "seq": {}}).encode()]
    odd += [b"[" * 100_000, json.dumps({**part, "id": "\ud800"}).encode()]
    odd += [json.dumps({**part, "verdict": "OK"}).encode(), json.dumps({**part, "seq": 10**30}).encode()]
    mosquitto.stop()  # and so the first connection fails
    with subscribing(mosquitto.port, database) as subscriber:
        mosquitto.start()
        assert has_subscribed(subscriber)
        for payload in odd:
            say(mosquitto, "result", payload)
        for _ in range(2):
            say(mosquitto, "gap", json.dumps(gap).encode())
        say(mosquitto, "result", json.dumps(part).encode())
        wait_until(lambda: len(kept(database)) == 1)
    with closing(sqlite3.connect(database)) as reader:
        assert reader.execute("SELECT first, last FROM gaps").fetchall() == [(1, 2)]
        assert [body for (body,) in reader.execute("SELECT body FROM others")] == odd


def say(mosquitto: Mosquitto, leaf: str, payload: bytes) -> None:
    topic = f"pwae/site/area/line/test-1/camera/top/{leaf}"
    publish.single(topic, payload, qos=1, port=mosquitto.port, hostname="127.0.0.1")


def kept(database: Path) -> list[tuple[int, str, str]]:
    with closing(sqlite3.connect(database)) as reader:
        return reader.execute("SELECT seq, verdict, body FROM events ORDER BY seq").fetchall()
