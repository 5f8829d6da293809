"""The live view: asked over HTTP, and looked at with a real browser."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from runtime.monitoring.drift import RECENT, REFERENCE
from runtime.view.connections import MOST
from tests.pictures import read_picture
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.browser import CHROMIUM, dump
from tests.runtime.command import run_command, write_config
from tests.runtime.pictures import bad_picture, good_picture, write_pictures
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.web import ask, is_up, state

DRIFT = re.compile(r'class="drift">')
TOKEN = "a-long-random-token"  # noqa: S105


def start(tmp_path: Path, bundle: Path, broker: int, **view: Any) -> tuple[subprocess.Popen[str], str]:
    """A station whose camera gives good parts at 20 a second, and a bad one first."""
    pictures = write_pictures(tmp_path / "pictures", good=2000)
    cv2.imwrite(str(pictures / "0-bad.png"), bad_picture(5))
    port = free_port()
    config = write_config(
        tmp_path,
        bundle,
        {"top": {"kind": "folder", "path": str(pictures), "max_fps": 20}},
        broker={"host": "127.0.0.1", "port": broker},
        view={"port": port, **view},
    )
    return run_command(config), f"http://127.0.0.1:{port}"


@pytest.fixture
def station(tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto) -> Iterator[str]:
    process, address = start(tmp_path, bundle_path, mosquitto.port)
    wait_until(lambda: process.poll() is not None or is_up(address))
    wait_until(lambda: state(address)["cameras"]["top"]["ok"] > 3)
    yield address
    process.terminate()
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    assert "Traceback" not in err


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_idle_connections_neither_close_the_page_nor_use_up_the_files(station: str) -> None:
    host, port = station.removeprefix("http://").split(":")
    with ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection((host, int(port)), WAIT_S)) for _ in range(1100)]
        judged = state(station)["cameras"]["top"]["ok"]
        wait_until(lambda: state(station)["cameras"]["top"]["ok"] > judged)
        assert ask(f"{station}/readyz") == (200, b"ok\n")
        wait_until(lambda: sum(is_open(each) for each in idle) <= MOST)


def test_state_metrics_health_and_pictures_tell_the_same(station: str) -> None:
    before = state(station)["cameras"]["top"]
    assert before["not_ok"] == 1
    assert before["trend"][0][0] == 2
    assert before["rejected"]["reasons"] == ["image_error", "tile_error"]
    _code, text = ask(f"{station}/metrics")
    metrics = dict(re.findall(r"^(pwae_\S+) (\S+)$", text.decode(), re.MULTILINE))
    assert float(metrics['pwae_parts_total{camera="top",verdict="NotOK"}']) == 1
    assert float(metrics['pwae_parts_total{camera="top",verdict="OK"}']) >= before["ok"]
    assert float(metrics["pwae_part_seconds_count"]) >= before["ok"]
    assert float(metrics["pwae_inference_seconds_sum"]) > 0
    wait_until(lambda: b"pwae_broker_connected 1.0" in ask(f"{station}/metrics")[1])
    assert ask(f"{station}/healthz") == (200, b"ok\n")
    assert ask(f"{station}/readyz") == (200, b"ok\n")
    code, content = ask(f"{station}/camera/top/rejected/plain.jpg")
    shown = read_picture(content)
    assert code == 200
    assert np.abs(shown.astype(int) - bad_picture(5)).mean() < 10
    assert ask(f"{station}/camera/none/last/map.jpg")[0] == 404
    assert ask(f"{station}/camera/top/settings/map.jpg")[0] == 422


def test_another_sites_page_cannot_read_it_through_a_name_of_its_own(station: str) -> None:
    assert ask(f"{station}/state.json", Host="evil.example.com")[0] == 400


def test_beyond_this_machine_everything_but_health_asks_for_the_token(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto
) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    process, address = start(
        tmp_path,
        bundle_path,
        mosquitto.port,
        host="0.0.0.0",  # noqa: S104
        token_file=str(tmp_path / "token"),
    )
    wait_until(lambda: process.poll() is not None or is_up(address))
    for path in ("", "state.json", "metrics", "camera/top/last/map.jpg", "history", "history.json", "evidence/1.jpg"):
        assert ask(f"{address}/{path}")[0] == 401
        assert ask(f"{address}/{path}", Authorization="Bearer wrong")[0] == 401
        assert ask(f"{address}/{path}?token=wrong")[0] == 401
        assert ask(f"{address}/{path}", Host="x/healthz?")[0] == 401
    assert ask(f"{address}/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert ask(f"{address}/state.json", Cookie=f"pwae_token={TOKEN}")[0] == 200
    process.terminate()
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err


def test_the_log_tells_of_requests_that_are_none_seldom_and_in_its_own_way(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto
) -> None:
    process, address = start(tmp_path, bundle_path, mosquitto.port)
    wait_until(lambda: process.poll() is not None or is_up(address))
    host, port = address.removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port)), WAIT_S) as connection:
            connection.sendall(b"no request\r\n\r\n")
            assert b" 400 " in connection.recv(1000)
    process.terminate()
    _out, err = process.communicate(timeout=WAIT_S)
    told = [line for line in err.splitlines() if "Invalid HTTP request" in line]
    assert len(told) == 1
    assert told[0].startswith("time=")


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({"host": "[::1]"}, "no scheme, port or brackets"),
        ({"host": "0.0.0.0"}, "give `token_env` or `token_file`"),  # noqa: S104
        ({"host": "0.0.0.0", "token_env": "PWAE_NO_SUCH"}, "PWAE_NO_SUCH is not set"),  # noqa: S104
        ({"host": "192.0.2.1", "token_env": "PATH"}, "set another `view.host`"),
    ],
)
def test_it_does_not_start_unguarded_or_where_it_cannot_listen(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, view: dict[str, Any], words: str
) -> None:
    process, _address = start(tmp_path, bundle_path, mosquitto.port, **view)
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2, err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert words in line


browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")


def look(address: str, folder: Path) -> tuple[str, np.ndarray[Any, np.dtype[np.uint8]]]:
    """Open the page in a browser; give what stands on it, and a screenshot."""
    page = dump(address, folder, f"--screenshot={folder}/page.png")
    picture = cv2.imread(str(folder / "page.png"))
    assert picture is not None
    return page, np.asarray(picture, np.uint8)


@browser
def test_a_browser_shows_every_camera_with_its_pictures_and_trend(station: str, tmp_path: Path) -> None:
    wait_until(lambda: len(state(station)["cameras"]["top"]["trend"]) > 20)
    page, picture = look(station, tmp_path)
    assert re.search(r'<article data-camera="top" class="OK">', page)
    assert re.search(r'<td class="not_ok">1</td>', page)
    assert "connected" in page
    assert len(re.findall(r'<img [^>]*src="blob:', page)) == 2
    assert len(re.search(r'points="([^"]*)"', page)[1].split()) > 20  # type: ignore[index]
    assert not DRIFT.search(page)
    green = np.all(np.abs(picture.astype(int) - (0x71, 0xBF, 0x2F)) < 12, axis=2).sum()
    framed = np.all(np.abs(picture.astype(int) - (40, 40, 255)) < 40, axis=2).sum()
    assert green > 3000
    assert framed > 200


@browser
def test_a_browser_warns_of_good_parts_that_come_closer_to_the_threshold(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto
) -> None:
    drifting = write_pictures(tmp_path / "drifting", good=REFERENCE)
    for number in range(RECENT):
        assert cv2.imwrite(str(drifting / f"later-{number:03}.png"), good_picture(number) + 2)
    port = free_port()
    config = write_config(
        tmp_path,
        bundle_path,
        {
            "drifting": {"kind": "folder", "path": str(drifting)},
            "steady": {"kind": "folder", "path": str(write_pictures(tmp_path / "steady", good=2000)), "max_fps": 20},
        },
        broker={"host": "127.0.0.1", "port": mosquitto.port},
        view={"port": port},
    )
    process, address = run_command(config), f"http://127.0.0.1:{port}"
    wait_until(lambda: process.poll() is not None or is_up(address))
    wait_until(lambda: state(address)["cameras"]["drifting"]["ok"] == REFERENCE + RECENT)
    page, _picture = look(address, tmp_path)
    assert len(DRIFT.findall(page)) == 1
    assert b'pwae_drift{camera="drifting"} 1.0' in ask(f"{address}/metrics")[1]
    process.terminate()
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
