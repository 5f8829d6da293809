"""A disk that the outbox alone has filled: the next run lets the broker take what waits, and judges then."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from core.errors import OutboxError
from runtime.outbox.outbox import Outbox
from runtime.outbox.settings import OutboxSettings
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import at, folder, stored, write_config
from tests.runtime.mes import Subscriber
from tests.runtime.outbox.test_outbox import letter
from tests.runtime.pictures import write_pictures
from tests.runtime.waiting import WAIT_S

RUN_WITHOUT_ROOM = """
import shutil
from types import SimpleNamespace
from runtime.cli import run_inspection
from runtime.outbox.settings import KEPT_BYTES
from runtime.station import deadlines
shutil.disk_usage = lambda _folder: SimpleNamespace(free=KEPT_BYTES - 1)
deadlines.ROOM_PATIENCE_S = float({patience_s})
run_inspection()
"""


def run(tmp_path: Path, bundle: Path, port: int, patience_s: float) -> tuple[int, str]:
    cameras = {"top": folder(write_pictures(tmp_path / "pictures", 3))}
    config = write_config(tmp_path, bundle, cameras, broker=at(port))
    program = RUN_WITHOUT_ROOM.format(patience_s=patience_s)
    command = [sys.executable, "-c", program, str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=WAIT_S)
    return done.returncode, done.stderr


def fill(tmp_path: Path) -> None:
    with closing(Outbox(OutboxSettings(path=tmp_path / "outbox.sqlite"))) as outbox:
        outbox.add([letter(number, size=30_000) for number in range(50)])


def test_the_broker_takes_what_waits_before_anything_is_judged(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    fill(tmp_path)
    code, err = run(tmp_path, bundle_path, mosquitto.port, WAIT_S)
    assert code == 0, err
    mes.wait_for(lambda: len(mes.events("/camera/top/result")) == 3)
    assert stored(tmp_path / "outbox.sqlite") == 0


def test_where_the_broker_stays_away_nothing_is_judged_and_all_is_kept(tmp_path: Path, bundle_path: Path) -> None:
    fill(tmp_path)
    code, err = run(tmp_path, bundle_path, free_port(), 0.5)
    assert code == OutboxError.exit_code, err
    assert "its disk is full" in err.splitlines()[-1]
    assert stored(tmp_path / "outbox.sqlite") == 50


def test_where_nothing_waits_that_a_broker_could_take_a_full_disk_is_told_at_once(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto
) -> None:
    code, err = run(tmp_path, bundle_path, mosquitto.port, 10 * WAIT_S)
    assert code == OutboxError.exit_code, err
    assert "its disk is full" in err.splitlines()[-1]
