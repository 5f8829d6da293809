"""The doctor's check of a camera: what it gives, and what it loses."""

import os
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from core.errors import CameraError
from core.pictures.geometry import ModelInput
from runtime.cameras import check
from runtime.cameras.check import check_camera
from runtime.cameras.settings import FolderSettings, HttpSettings, WatchSettings
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason
from tests.runtime.gige import HOST, SERIALS, FactoryCamera, sole_use
from tests.runtime.pictures import write_pictures
from tests.runtime.servers import MjpegServer


def test_a_factory_camera_is_named_with_its_frames_and_packets(factory_camera: FactoryCamera) -> None:
    triggered = {"TriggerMode": "On", "TriggerSource": "Software"}
    text = check_camera("top", factory_camera.settings(features=triggered, trigger={"mode": "hardware"}))
    assert f"serial {SERIALS[factory_camera.kind]}, at {HOST}, gives frames of 96 x 64 pixels" in text
    assert re.search(r", MTU 65535, net\.core\.rmem_max \d+, none of \d+ lost", text)


def test_a_factory_camera_is_named_where_the_kernel_does_not_show_its_buffer(
    factory_camera: FactoryCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container with a network of its own."""
    monkeypatch.setattr(check, "RECEIVE_BUFFER", tmp_path / "rmem_max")
    text = check_camera("top", factory_camera.settings())
    assert "gives frames of 96 x 64 pixels" in text
    assert "rmem_max" not in text


@pytest.mark.machine
@pytest.mark.parametrize(
    ("mtu_bytes", "told", "jumbo"),
    [
        (1500, ", MTU 1500", "set the network card's MTU to 9000, "),
        (9000, ", MTU 9000", ""),
        (None, "", "set the network card's MTU to 9000, "),
    ],
)
def test_lost_packets_are_counted_with_the_remedies(
    monkeypatch: pytest.MonkeyPatch, mtu_bytes: int | None, told: str, jumbo: str
) -> None:
    monkeypatch.setattr(check, "mtu_bytes_to", lambda _: mtu_bytes)
    losing = FactoryCamera("viva", drop_packets=[(3, 1), (5, 1)], packet_resend=False)
    words = f"{told}, net.core.rmem_max BYTES; raise net.core.rmem_max, {jumbo}or let the camera wait between packets"
    pattern = r"2 of \d+ frames did not come whole in 1 s, packets of \d+ bytes"
    with (
        sole_use(),
        losing as camera,
        pytest.raises(CameraError, match=pattern + re.escape(words).replace("BYTES", r"\d+")),
    ):
        check_camera("top", camera.settings())


def test_where_the_way_to_a_camera_is_not_known_nothing_is_told_of_it() -> None:
    assert check.mtu_bytes_to("no address") is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"features": {"ExposureTme": 1}}, "did you mean `ExposureTime"),
        ({"features": {"TriggerMode": "Sometimes"}}, "it refuses `TriggerMode: Sometimes` .*it takes O"),
        ({"address": "127.0.0.2"}, "127.0.0.2 does not answer; found: "),
        ({"interface": "none0"}, "none0"),
        ({"roi": [90, 0, 10, 10]}, r"frames have 96 x 64 pixels, and top's region \[90, 0, 10, 10\]"),
    ],
)
def test_what_keeps_a_factory_camera_from_running_is_named(
    factory_camera: FactoryCamera, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(CameraError, match=words) as refused:
        check_camera("top", factory_camera.settings(**changed))
    assert "\n" not in str(refused.value)


def test_a_region_outside_the_frame_is_named(mjpeg: MjpegServer) -> None:
    regions = {"left": [0, 0, 48, 96], "right": [48, 0, 49, 96]}
    settings = HttpSettings.model_validate({"kind": "http", "url": mjpeg.url, "regions": regions})
    with pytest.raises(CameraError, match=r"top-right's region \[48, 0, 49, 96\] does not lie within"):
        check_camera("top", settings)


def test_a_region_outside_the_pictures_of_a_folder_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path, 1)
    folder = {"kind": "folder", "path": tmp_path}
    with pytest.raises(CameraError, match=r"top's region \[0, 0, 5000, 8\] does not lie within"):
        check_camera("top", FolderSettings.model_validate({**folder, "roi": [0, 0, 5000, 8]}))
    with pytest.raises(CameraError, match=r"the model's region \[0, 0, 5000, 8\] does not lie within"):
        check_camera("top", FolderSettings.model_validate(folder), (), [ModelInput(8, 8, roi=(0, 0, 5000, 8))])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"roi": [90, 0, 10, 10]}, r"96 x 96 pixels, and top's region \[90, 0, 10, 10\] does not lie within"),
        (
            {"frame_size": [640, 480]},
            "96 x 96 pixels, not 640 x 480, so none of these would be judged; correct",
        ),
    ],
)
def test_of_files_and_live_cameras_alike_it_is_told_that_no_picture_would_be_judged(
    mjpeg: MjpegServer, tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((96, 96, 3), np.uint8))
    for settings in (
        HttpSettings.model_validate({"kind": "http", "url": mjpeg.url, **changed}),
        FolderSettings.model_validate({"kind": "folder", "path": tmp_path, **changed}),
    ):
        with pytest.raises(CameraError, match=words):
            check_camera("top", settings)


def test_of_a_folder_of_several_sizes_it_is_told_which_pictures_would_not_be_judged(tmp_path: Path) -> None:
    for number in range(100):
        side = 96 if number < 50 else 48
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), np.full((side, 96, 3), 90, np.uint8))
    (tmp_path / "99.png").write_bytes(b"no picture")
    folder = {"kind": "folder", "path": tmp_path}
    told = check_camera("top", FolderSettings.model_validate(folder))
    size = "opens, 100 frames, 10 looked at, of 96 x 96 and 96 x 48 pixels"
    assert told.startswith(f"{size}; warning: 1 of the 10 cannot be read: {tmp_path / '99.png'}: not a whole picture")
    told = check_camera("top", FolderSettings.model_validate({**folder, "frame_size": [96, 48]}))
    assert "; warning: some of its frames have 96 x 96 pixels, not 96 x 48, so none of these would be judged;" in told
    told = check_camera("top", FolderSettings.model_validate({**folder, "roi": [0, 40, 9, 9]}))
    assert "; warning: some of its frames have 96 x 48 pixels, and top's region [0, 40, 9, 9] does not lie" in told
    told = check_camera("top", FolderSettings.model_validate(folder), (), (ModelInput(8, 8, aspects=(1.0,)),))
    assert "; warning: some pictures of top are squeezed, 2 times as wide as high, and what trained 1;" in told


def test_a_shape_that_a_model_does_not_know_is_told(mjpeg: MjpegServer, tmp_path: Path) -> None:
    live = HttpSettings.model_validate({"kind": "http", "url": mjpeg.url, "regions": {"half": [0, 0, 48, 96]}})
    write_pictures(tmp_path, 1)
    folder = FolderSettings(kind="folder", path=tmp_path)
    known, other = ModelInput(8, 8, aspects=(0.5, 1.0)), ModelInput(8, 8, aspects=(1.33,))
    for settings, stream, aspect in ((live, "top-half", "0.5"), (folder, "top", "1")):
        assert "squeezed" not in check_camera("top", settings, (), (known, ModelInput(8, 8)))
        told = check_camera("top", settings, (), (known, other))
        words = f"{aspect} times as wide as high, and what trained 1.33; give the camera a `roi` of that shape"
        assert f"; warning: pictures of {stream} are squeezed, {words}" in told


def test_a_colour_that_a_model_does_not_know_is_told(tmp_path: Path) -> None:
    for name, grey_levels in {"grey": 90, "red": (20, 30, 90)}.items():
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "0.png"), np.full((40, 40, 3), grey_levels, np.uint8))
    grey, coloured = (ModelInput(8, 8, colours=(colour,)) for colour in ("grey", "coloured"))
    for name, known, other, words in (
        ("grey", grey, coloured, "grey, and what trained coloured"),
        ("red", coloured, grey, "coloured, and what trained grey"),
    ):
        folder = FolderSettings(kind="folder", path=tmp_path / name)
        assert "warning" not in check_camera("top", folder, (), (known, ModelInput(8, 8)))
        assert f"; warning: pictures of top differ in colour, {words}; set the camera" in check_camera(
            "top", folder, (), (known, other)
        )


def test_a_camera_whose_pictures_cannot_be_read_is_told_as_that(mjpeg: MjpegServer) -> None:
    mjpeg.damaged.set()
    with pytest.raises(CameraError, match="what it gives is damaged, or of a kind of picture that is not read here"):
        check_camera("top", HttpSettings(kind="http", url=mjpeg.url))


def test_a_camera_that_sends_so_seldom_that_the_line_would_take_it_for_silent_is_told() -> None:
    server = MjpegServer(fps=2)
    with pytest.raises(CameraError, match=r"\d\.\d s lay between two frames, .* 0\.2 s .*raise `stale_after_s`"):
        check_camera("top", HttpSettings(kind="http", url=server.url, stale_after_s=0.2))
    server.close()


def test_a_camera_that_gives_one_frame_and_then_no_other_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Frame(np.zeros((96, 96, 3), np.uint8), Moment.now())
    given = [seen, Frame(None, Moment.now(), fault=Reason.NO_FRAME)]
    camera = SimpleNamespace(frames=lambda _stop: iter(given), status=lambda: None, close=lambda: None)
    monkeypatch.setattr("runtime.cameras.check.open_camera", lambda *_: camera)
    with pytest.raises(CameraError, match="it gives one frame and then no other"):
        check_camera("top", HttpSettings(kind="http", url="http://127.0.0.1/"))


def test_a_camera_that_gives_nothing_in_time_is_told_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/film"
        settings = HttpSettings(kind="http", url=url, timeout_s=0.3)
        with pytest.raises(CameraError, match=r"it gave no picture within 0\.3 s"):
            check_camera("top", settings)


@pytest.mark.parametrize("closed", ["inbox", "done"])
def test_a_folder_out_of_which_or_into_which_nothing_can_be_moved_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    inbox, done = write_pictures(tmp_path / "inbox", 1), tmp_path / "judged" / "done"
    settings = WatchSettings(kind="watch", path=inbox, move_to=done)
    assert check_camera("top", settings) == "opens"
    assert [each.name for each in tmp_path.iterdir()] == ["inbox"], "it leaves nothing behind"
    monkeypatch.setattr(os, "access", lambda folder, _mode: Path(folder).name != closed)  # root may write anywhere
    with pytest.raises(CameraError, match=rf"nothing can be written in .*/{closed}, so judged pictures could not be"):
        check_camera("top", settings)
    assert check_camera("top", settings.model_copy(update={"move_to": None})) == "opens"


def test_why_a_folders_first_picture_cannot_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "no\npicture.png").write_bytes(b"GIF89a")
    told = check_camera("top", FolderSettings(kind="folder", path=tmp_path))
    assert told.startswith("opens, 1 frames, 1 looked at; warning: 1 of the 1 cannot be read: ")
    assert r"no\npicture.png: " in told
