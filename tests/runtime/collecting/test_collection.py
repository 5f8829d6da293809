"""Pictures of good parts are filmed as judging would see them."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.datasets.collected import load_collected
from core.datasets.dataset import training_samples
from core.errors import CameraError, ConfigError, DataError
from core.stop import Stop
from runtime.collecting.collection import Collection, collecting
from runtime.collecting.console import collect
from runtime.collecting.page import page as collecting_page
from runtime.settings import InspectionSettings
from runtime.view.settings import ViewSettings
from runtime.view.web_page import serving
from tests.pictures import draw_part, read_picture
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import at, run_command, write_config
from tests.runtime.mes import Subscriber
from tests.runtime.servers import MjpegServer
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.web import ask, is_up, state

SIDE = 96


def settings(tmp_path: Path, camera: dict[str, Any], **sections: Any) -> InspectionSettings:
    content = {"bundle": tmp_path / "not-there-yet", "station": "test-1", "cameras": {"top": camera}, **sections}
    return InspectionSettings.model_validate(content)


def write(folder: Path, pictures: dict[str, NDArray[np.uint8]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        assert cv2.imwrite(str(folder / name), picture)
    return folder


def good(count: int, first: int = 0) -> dict[str, NDArray[np.uint8]]:
    return {f"{number:03}.png": draw_part(number, SIDE) for number in range(first, first + count)}


def run(found: InspectionSettings, pictures: int, output: Path, until: Callable[[Collection], bool]) -> Collection:
    """Film until the cameras are done or `until` says so."""
    with collecting(found, pictures, output) as collection:
        wait_until(lambda: collection.is_over(0.01) or until(collection))
    return collection


def to_the_end(found: InspectionSettings, pictures: int, output: Path) -> Collection:
    return run(found, pictures, output, lambda _collection: False)


def test_what_is_no_use_for_training_is_left_out_and_counted(tmp_path: Path) -> None:
    pictures = good(30)
    odd = {
        "001b.png": cv2.GaussianBlur(pictures["001.png"], (0, 0), 4),  # before it is known what is usual
        "005b.png": np.zeros((SIDE, SIDE, 3), np.uint8),
        "007b.png": np.full((SIDE, SIDE, 3), 255, np.uint8),
        "009b.png": pictures["003.png"],
        "028b.png": cv2.GaussianBlur(pictures["012.png"], (0, 0), 4),
        "028c.png": cv2.GaussianBlur(pictures["012.png"], (0, 0), 4),  # what is left out is not remembered
    }
    folder = write(tmp_path / "line", pictures | {name: np.asarray(each, np.uint8) for name, each in odd.items()})
    (folder / "011b.png").write_bytes(b"no picture")
    collection = to_the_end(settings(tmp_path, {"kind": "folder", "path": folder}), 100, tmp_path / "good")
    assert collection.left_out == {"black": 1, "overexposed": 1, "duplicate": 1, "unreadable": 1, "blurred": 3}
    kept = [read_picture(sample.path) for sample in training_samples(str(tmp_path / "good"))]
    assert len(kept) == collection.kept == 30
    assert not load_collected(tmp_path / "good").may_show_a_part_again, "each file is of a part"
    for picture, original in zip(kept, pictures.values(), strict=True):
        np.testing.assert_array_equal(picture, original)


def test_each_region_gives_its_own_pictures_and_no_more_than_are_wanted(tmp_path: Path) -> None:
    pictures = good(12)
    folder = write(tmp_path / "line", pictures)
    regions = {"left": [0, 0, 40, 96], "right": [40, 0, 56, 90], "beyond": [90, 0, 40, 40]}
    collection = to_the_end(
        settings(tmp_path, {"kind": "folder", "path": folder, "regions": regions}), 5, tmp_path / "good"
    )
    assert {name: stream.kept for name, stream in collection.streams.items()} == {
        "top-left": 5,
        "top-right": 5,
        "top-beyond": 0,
    }
    assert collection.left_out == {"roi_outside": 12}
    first = read_picture(tmp_path / "good" / "train" / "good" / "top-right-00001.png")
    np.testing.assert_array_equal(first, pictures["000.png"][:90, 40:96])


def test_a_part_that_stands_still_in_a_film_is_one_picture(tmp_path: Path) -> None:
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 25, (SIDE, SIDE))
    for number in range(20):
        writer.write(draw_part(number // 5, SIDE))
    writer.release()
    collection = to_the_end(settings(tmp_path, {"kind": "video", "path": film}), 100, tmp_path / "good")
    assert (collection.kept, collection.left_out) == (4, {"duplicate": 16})
    assert load_collected(tmp_path / "good").may_show_a_part_again


def test_pictures_that_are_there_are_kept_and_an_empty_end_is_an_error(tmp_path: Path) -> None:
    black = write(tmp_path / "dark", {"0.png": np.zeros((SIDE, SIDE, 3), np.uint8)})
    output = write(tmp_path / "good", good(1))
    with pytest.raises(ConfigError, match="exists already and is kept"):
        collect(settings(tmp_path, {"kind": "folder", "path": black}), 5, output, Stop())
    assert [path.name for path in output.iterdir()] == ["000.png"]
    with pytest.raises(DataError, match="no picture could be kept: top: 0 of 5 pictures; left out: 1 black"):
        collect(settings(tmp_path, {"kind": "folder", "path": black}), 5, tmp_path / "new", Stop())


def test_each_trigger_gives_a_picture_and_the_line_is_told_that_nothing_is_judged(
    tmp_path: Path, mosquitto: Mosquitto, mes: Subscriber, mjpeg: MjpegServer
) -> None:
    camera = {"kind": "http", "url": mjpeg.url, "trigger": {"tolerance_ms": 10_000}, "stale_after_s": 60}
    found = settings(tmp_path, camera, broker=at(mosquitto.port), outbox={"path": tmp_path / "outbox.sqlite"})
    topic = "pwae/site/area/line/test-1/trigger/top"
    with collecting(found, 3, tmp_path / "good") as collection:
        mes.send_until(topic, b'{"part_id": "1"}', lambda: collection.kept >= 1)
        mes.send_until(topic, b'{"part_id": "2"}', lambda: collection.is_over(0.01))
    assert collection.kept == 3
    mes.wait_for(lambda: [told["state"] for told in mes.events("test-1/status")][-1:] == ["offline"])
    assert "collecting pictures of good parts: nothing is judged" in [
        told["reason"] for told in mes.events("test-1/status") if told["state"] == "online"
    ]
    assert mes.events() == []


@pytest.fixture
def page(tmp_path: Path) -> tuple[Path, str]:
    """A configuration of a folder that is watched for ever, and the address of its page."""
    port = free_port()
    write(tmp_path / "line", good(7))
    camera = {"kind": "watch", "path": str(tmp_path / "line"), "move_to": str(tmp_path / "judged")}
    return write_config(tmp_path, tmp_path / "not-there-yet", {"top": camera}, view={"port": port}), str(port)


def test_ctrl_c_keeps_what_is_there_and_the_page_shows_the_count(tmp_path: Path, page: tuple[Path, str]) -> None:
    config, port = page
    process = run_command("collect", config, "--output", tmp_path / "good", folder=tmp_path)
    address = f"http://127.0.0.1:{port}"
    wait_until(lambda: is_up(address))
    wait_until(lambda: bool(state(address)["streams"]["top"]["kept"] == 7))
    assert state(address)["streams"]["top"] == {"kept": 7, "wanted": 300, "left_out": {}}
    assert read_picture(ask(f"{address}/camera/top/last.jpg")[1]).shape == (SIDE, SIDE, 3)
    assert ask(f"{address}/camera/side/last.jpg")[0] == 404
    assert b"Nothing is judged" in ask(f"{address}/")[1]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert f"kept in {tmp_path / 'good'}: 7 pictures" in err
    assert "fewer than the 300 that were asked for: stopped by SIGINT" in err
    assert out == f"next: train-model init {tmp_path / 'good'}\n"
    assert len(list((tmp_path / "good" / "train" / "good").iterdir())) == 7
    assert len(list((tmp_path / "line").iterdir())) == 7  # what is judged one day lies where it lay


def test_without_a_camera_no_folder_is_made(tmp_path: Path) -> None:
    found = settings(tmp_path, {"kind": "folder", "path": tmp_path / "none"})
    with pytest.raises(CameraError, match="no such folder"):
        collect(found, 5, tmp_path / "good", Stop())
    assert not (tmp_path / "good").exists()


def test_what_the_station_keeps_is_not_collected_whatever_link_leads_there(tmp_path: Path) -> None:
    kept = write(tmp_path / "evidence" / "NotOK", good(2)).parent
    (write(tmp_path / "line", good(2)) / "link").symlink_to(kept)
    found = settings(tmp_path, {"kind": "folder", "path": tmp_path / "line"}, evidence={"folder": kept})
    with pytest.raises(CameraError, match="is what this station keeps, and never judged; remove the link to it"):
        collect(found, 5, tmp_path / "good", Stop())
    assert not (tmp_path / "good").exists()


@pytest.mark.parametrize("shape", [(2, 4096), (4096, 2)])
def test_pictures_of_a_line_camera_are_shown_however_narrow(tmp_path: Path, shape: tuple[int, int]) -> None:
    camera = {"kind": "folder", "path": write(tmp_path / "line", {"0.png": np.full(shape, 128, np.uint8)})}
    view = ViewSettings(port=free_port())
    collection = to_the_end(settings(tmp_path, camera), 1, tmp_path / "good")
    with serving(view, collecting_page(view, "press-3", collection)):
        status, content = ask(f"{view.address}/camera/top/last.jpg")
    assert status == 200
    assert max(read_picture(content).shape) < 4096
