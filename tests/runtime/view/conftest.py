"""A station with a past, and whom the browser asks."""

import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from runtime.history.entry import Entry
from runtime.history.file import HistoryFile, add
from runtime.parts.verdict import Verdict
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import STARTED, run_command, write_config
from tests.runtime.pictures import bad_picture, good_picture
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.web import ask, is_up

SIZE = (240, 400)
"""Height and width of the camera's pictures."""
EVIL = '<img src=x onerror="document.title=1">'
EVENTS = 300
TOKEN = "the-right-to-mark"  # noqa: S105


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory, bundle_path: Path) -> Iterator[str]:
    """A station that has judged three parts, one of them bad, and goes on filming; its past is full of evil names."""
    folder = tmp_path_factory.mktemp("station")
    (folder / "pictures").mkdir()
    for name, picture in {"0.png": bad_picture(1, SIZE), "1.png": good_picture(2, SIZE)}.items():
        assert cv2.imwrite(str(folder / "pictures" / name), picture)
    (folder / "pictures" / f"2{EVIL}.png").write_text("no picture")
    with HistoryFile(folder / "evidence").writing() as database, database:
        add(database, (past(number) for number in range(EVENTS)))
    (folder / "token").write_text(f"{TOKEN}\n")
    broker = Mosquitto(folder)
    broker.start()
    port = free_port()
    config = write_config(
        folder,
        bundle_path,
        {
            "top": {"kind": "watch", "path": str(folder / "pictures"), "part_id_pattern": r"^(\d)"},
            "gone": {"kind": "http", "url": f"http://127.0.0.1:{free_port()}/", "stale_after_s": 0.5},
        },
        broker={"host": "127.0.0.1", "port": broker.port},
        evidence={"folder": str(folder / "evidence"), "min_free_bytes": 0, "every_nth_ok": 1},
        view={"port": port, "mark_token_file": str(folder / "token")},
    )
    process, address = run_command(config), f"http://127.0.0.1:{port}"
    STARTED.remove(process)  # it outlives a test
    wait_until(lambda: process.poll() is not None or is_up(address))
    wait_until(lambda: len(history(address, camera="top", verdict="all")) == 3)
    yield address
    process.terminate()
    _out, err = process.communicate(timeout=WAIT_S)
    broker.stop()
    assert process.returncode == 0, err
    assert "Traceback" not in err


def past(number: int) -> tuple[Entry, bytes]:
    verdict = Verdict.NOT_OK if number % 10 == 3 else Verdict.OK
    entry = Entry(
        *(f"old-{number}", 1.7e9 + number, EVIL if number % 2 else "left", verdict, -0.5),
        part=f"{EVIL}{number}",
        job="job & 7",
        file=None,
        picture="../../../../etc/passwd" if number == 3 else f"NotOK/2023-11-14/old-{number}.jpg",
        recipe=f"{EVIL}blue" if number % 4 == 1 else None,
    )
    tile = {"row": 0, "col": 0, "value": 0.3, "threshold": 0.2, "verdict": "NotOK"}
    event = {
        "verdict": {"reason": [EVIL]},
        "tiles": [tile],
        "score": {"value": 0.1, "threshold": 0.2},
        "recipe": f"{EVIL}blue",
        "model": {"name": EVIL, "version": EVIL, "sha256": EVIL},
        "simulated": False,
    }
    return entry, json.dumps(event).encode()


def history(address: str, **asked: str | int) -> Any:
    code, content = ask(f"{address}/history.json?{urllib.parse.urlencode({'limit': 1000, **asked})}")
    return json.loads(content) if code == 200 else []
