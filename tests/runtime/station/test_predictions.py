"""A script sends a picture by HTTP and gets the event, while the line goes on."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import at, run_command, write_config
from tests.runtime.contract import validator
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import SIZE, bad_picture, good_picture, write_pictures
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.web import ask, is_up, post

TOKEN = "a-long-token"  # noqa: S105
MAY = {"authorization": f"Bearer {TOKEN}"}


def png(picture: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


@pytest.fixture
def address(tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A line of two regions, at 20 frames a second, that takes commands."""
    monkeypatch.setenv("LOOK_TOKEN", TOKEN)
    port = free_port()
    regions = {"left": [0, 0, 24, 48], "right": [24, 0, 24, 48]}
    pictures = write_pictures(tmp_path / "pictures", good=2000)
    camera = {"kind": "folder", "path": str(pictures), "max_fps": 20, "regions": regions}
    view = {"port": port, "token_env": "LOOK_TOKEN"}
    config = write_config(
        *(tmp_path, bundle_path, {"top": camera}), broker=at(mosquitto.port), view=view, commands=["pause", "resume"]
    )
    process = run_command(config)
    where = f"http://127.0.0.1:{port}"
    wait_until(lambda: process.poll() is not None or is_up(where))
    yield where
    process.terminate()
    _out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, "Traceback" in err) == (0, False), err


def test_a_picture_gives_its_event_and_the_line_is_told_nothing_of_it(address: str, mes: Subscriber) -> None:
    mes.wait_for_events(4)
    started_s = time.monotonic()
    code, bad = post(f"{address}/predict?camera=top-right", png(bad_picture(1)), **MAY)
    assert (code, bad["verdict"]["name"], bad["verdict"]["reason"]) == (200, "NotOK", ["image_error", "tile_error"])
    assert time.monotonic() - started_s < WAIT_S
    validator("inspection").validate(bad)
    assert (bad["camera"], bad["frame"]["width"], bad["evidence"]) == ("top-right", SIZE, None)
    code, good = post(f"{address}/predict?camera=top-left", png(good_picture(2)), **MAY)
    assert (code, good["verdict"]["name"]) == (200, "OK")
    assert post(f"{address}/predict?camera=top-left", png(good_picture(2)), **MAY)[1]["id"] == good["id"]
    code, black = post(f"{address}/predict?camera=top-left", png(np.zeros((SIZE, SIZE, 3), np.uint8)), **MAY)
    assert (black["verdict"]["name"], black["verdict"]["reason"]) == ("NotDecidable", ["black"])

    judged = len(mes.events())
    mes.wait_for_events(judged + 6)
    assert {bad["id"], good["id"], black["id"]}.isdisjoint(event["id"] for event in mes.events())
    assert {event["verdict"]["name"] for event in mes.events()} == {"OK"}
    for camera in ("top-left", "top-right"):
        numbers = [event["seq"] for event in mes.events() if event["camera"] == camera]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_what_cannot_be_judged_is_refused_in_words_and_the_api_is_described(address: str, mes: Subscriber) -> None:
    where = f"{address}/predict?camera=top-left"
    whole = png(good_picture(1))
    assert post(where, whole[:-40], **MAY)[0] == 422
    code, told = post(where, b"no picture", **MAY)
    assert code == 422
    assert told["detail"].startswith("the picture cannot be judged: not a whole picture")
    large = png(np.zeros((8200, 8200), np.uint8))
    assert "are more than the 67,108,864 that are allowed" in post(where, large, **MAY)[1]["detail"]
    assert post(where, bytes(2**25 + 1), **MAY)[0] == 413
    code, told = post(f"{address}/predict", whole, **MAY)
    assert (code, told["detail"]) == (404, "`camera`: one of top-left, top-right")
    assert post(where, whole)[0] == 401
    topic = "pwae/site/area/line/test-1/cmd/pause"
    mes.send_until(
        topic,
        json.dumps({"request_id": "1", "by": "Ada"}).encode(),
        lambda: b"paused by Ada" in ask(f"{address}/readyz")[1],
    )
    code, told = post(where, whole, **MAY)
    assert (code, told["detail"]) == (503, "nothing is judged now: paused by Ada")
    mes.send("pwae/site/area/line/test-1/cmd/resume", json.dumps({"request_id": "2"}).encode())
    wait_until(lambda: post(where, whole, **MAY)[0] == 200)

    # What may be asked is described, behind the token.
    assert ask(f"{address}/docs")[0] == 401
    page = ask(f"{address}/docs", **MAY)[1].decode()
    assert "POST /predict" in page
    described = json.loads(ask(f"{address}/openapi.json", **MAY)[1])
    assert described["openapi"].startswith("3.")
    assert "image/png" in described["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert "/state.json" in described["paths"]
