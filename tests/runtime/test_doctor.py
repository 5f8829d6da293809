"""The doctor: says what is missing, all of it, each with its remedy."""

import json
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from core.config import load_settings
from core.errors import ArtifactError, BackendError, BrokerError, CameraError, ConfigError, OutboxError
from export.package import sign
from runtime.bundles.bundle import load_bundle, save_manifest
from runtime.doctor import examine
from runtime.outbox.outbox import Outbox
from runtime.outbox.settings import OutboxSettings
from runtime.settings import InspectionSettings
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import run_command, write_config
from tests.runtime.contract import PREFIX
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.servers import MjpegServer
from tests.runtime.waiting import WAIT_S


def ask_doctor(tmp_path: Path, bundle: Path, broker: dict[str, Any], **changes: Any) -> tuple[int, dict[str, str]]:
    """Exit code, and by subject the line about it."""
    pictures = tmp_path / "pictures"
    if not pictures.exists():
        write_pictures(pictures, 2)
    sections: dict[str, Any] = {
        "cameras": {"top": {"kind": "folder", "path": str(pictures)}},
        "broker": broker,
        "evidence": {"folder": str(tmp_path / "evidence"), "min_free_bytes": 0},
        "view": {"port": free_port()},
        **changes,
    }
    config = write_config(tmp_path, bundle, sections.pop("cameras"), **sections)
    process = run_command("doctor", config, folder=tmp_path)
    out, err = process.communicate(timeout=WAIT_S)
    assert "Traceback" not in err
    lines = out.splitlines()
    assert not [line for line in lines if re.match(r"\S+ +(.+): \1: ", line)], "each subject is named once"
    found = {line[8:].split(":")[0]: line for line in lines[:-1]}
    found["verdict"] = lines[-1] if lines else err
    return process.returncode, found


def at(port: int, **settings: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "connect_timeout_s": 10, **settings}


def test_a_station_that_is_whole_is_ready_and_nobody_is_told_but_the_doctor(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    code, found = ask_doctor(tmp_path, bundle_path, at(mosquitto.port), bundles={"blue": str(bundle_path)})
    assert code == 0, "\n".join(found.values())
    assert found["verdict"] == "ready"
    assert all(line.startswith("ok ") for subject, line in found.items() if subject != "verdict")
    assert list(found) == [
        *(
            "bundle",
            "bundle of recipe blue",
            "onnxruntime",
            "backend",
            "backend of recipe blue",
            "gpu",
            "codecs",
            "camera top",
            "broker",
            "outbox",
            "evidence",
            "view",
            "verdict",
        )
    ]
    assert "judges a batch of 8 (auto: " in found["backend"]
    assert {message.topic for message in mes.messages} <= {f"{PREFIX}/doctor"}
    own = {"inspection.yaml", "pictures", "mosquitto"}
    assert {each.name for each in tmp_path.iterdir()} == own, "it leaves nothing behind"


def test_an_outbox_and_folders_that_are_there_stay(tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto) -> None:
    box = OutboxSettings(path=tmp_path / "kept" / "outbox.sqlite")
    Outbox(box).close()
    (tmp_path / "evidence").mkdir()
    ask_doctor(tmp_path, bundle_path, at(mosquitto.port), outbox={"path": str(box.path)})
    assert box.path.is_file()
    assert (tmp_path / "evidence").is_dir()


def test_what_a_check_warns_of_stands_in_its_line(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, film: Path
) -> None:
    (tmp_path / "password").write_text("x ")
    broker = at(mosquitto.port, username="u", password_file="password")  # noqa: S106
    cameras = {"top": {"kind": "video", "path": str(film / "film.mp4"), "decoding": "vaapi"}}
    process = run_command("doctor", write_config(tmp_path, bundle_path, cameras, broker=broker), folder=tmp_path)
    out, err = process.communicate(timeout=WAIT_S)
    found = {line[8:].split(":")[0]: line for line in out.splitlines()}
    assert err == ""
    assert "pixels; warning: decoded by software camera=film.mp4 decoding=vaapi" in found["camera top"]
    assert "; warning: broker.password: " in found["broker"]


def test_a_bundle_in_half_precision_is_told_to_be_slow_on_a_cpu(tmp_path: Path, bundle_path: Path) -> None:
    half = Path(shutil.copytree(bundle_path, tmp_path / "half"))
    save_manifest(half, load_bundle(half).manifest.model_copy(update={"precision": "fp16"}))
    for bundle, is_slow in ((half, True), (bundle_path, False)):
        config = write_config(tmp_path, bundle, {"top": {"kind": "folder", "path": str(tmp_path)}})
        told = {each.subject: each for each in examine(load_settings(config, InspectionSettings))}["backend"]
        assert told.exit_code == 0
        assert ("export it with --precision fp32" in told.text) == is_slow


def test_everything_missing_is_told_at_once_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, found = ask_doctor(
            tmp_path,
            tmp_path / "no.bundle",
            at(free_port(), connect_timeout_s=1),
            cameras={"top": {"kind": "folder", "path": str(tmp_path / "none")}},
            outbox={"path": str(tmp_path / "file" / "box.sqlite")},
            evidence={"folder": str(tmp_path / "file" / "evidence")},
            view={"port": taken.getsockname()[1]},
        )
    assert code == ArtifactError.exit_code
    missing = {subject: line for subject, line in found.items() if line.startswith("MISSING")}
    words = {
        "bundle": "give a folder that `export-engine` wrote",
        "camera top": "no such folder",
        "broker": "start it, or check broker.host",
        "outbox": "check `outbox.path`",
        "evidence": "check its permissions",
        "view": "set another `view.port`",
    }
    assert set(missing) == set(words), "each fault once: the backend lacks nothing but the bundle"
    for subject, part in words.items():
        assert part in missing[subject]
    assert found["verdict"] == "not ready: 6 to fix"


def test_a_refused_login_is_told_apart_from_a_broker_that_is_away(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto
) -> None:
    mosquitto.stop()
    mosquitto.extra = mosquitto.password_file("station", "right")
    mosquitto.start()
    code, found = ask_doctor(tmp_path, bundle_path, at(mosquitto.port))
    assert code == BrokerError.exit_code
    assert "answers and refuses us" in found["broker"]
    assert "check broker.username" in found["broker"]


def test_a_running_inspection_that_holds_the_outbox_is_named(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto
) -> None:
    box = Outbox(OutboxSettings(path=tmp_path / "outbox.sqlite"))
    code, found = ask_doctor(tmp_path, bundle_path, at(mosquitto.port))
    box.close()
    assert code == OutboxError.exit_code
    assert "another run-inspection uses it" in found["outbox"]


def test_a_backend_that_cannot_be_had_is_named_with_its_remedy(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto
) -> None:
    code, found = ask_doctor(tmp_path, bundle_path, at(mosquitto.port), backend={"kind": "tensorrt"})
    assert code == BackendError.exit_code
    assert found["backend"].startswith("MISSING backend: no TensorRT engine")
    assert re.search("set another backend.kind|export-engine add", found["backend"])


@pytest.mark.parametrize("name", ["model.onnx", "bundle.json"])
def test_a_damaged_bundle_is_named(tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, name: str) -> None:
    copy = shutil.copytree(bundle_path, tmp_path / "copy")
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-20])
    code, found = ask_doctor(tmp_path, copy, at(mosquitto.port))
    assert code == ArtifactError.exit_code
    assert "damaged" in found["bundle"]


def test_a_bundle_that_the_site_has_not_signed_is_named(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto
) -> None:
    private, public = tmp_path / "site.key", tmp_path / "site.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    bundle = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    code, found = ask_doctor(tmp_path, bundle, at(mosquitto.port), bundle_key=str(public))
    assert code == ArtifactError.exit_code
    assert "not signed; `export-engine sign` it" in found["bundle"]
    sign(bundle, private)
    code, found = ask_doctor(tmp_path, bundle, at(mosquitto.port), bundle_key=str(public))
    assert code == 0, found


def test_a_video_without_pictures_is_named(tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto) -> None:
    (tmp_path / "v.mp4").write_text(json.dumps({"no": "video"}))
    cameras = {"top": {"kind": "video", "path": str(tmp_path / "v.mp4")}}
    code, found = ask_doctor(tmp_path, bundle_path, at(mosquitto.port), cameras=cameras)
    assert code == CameraError.exit_code
    assert "FFMPEG finds no video" in found["camera top"]


def test_a_view_whose_token_is_not_there_is_named(tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto) -> None:
    view = {"port": free_port(), "host": "0.0.0.0", "token_env": "PWAE_NO_SUCH"}  # noqa: S104
    code, found = ask_doctor(tmp_path, bundle_path, at(mosquitto.port), view=view)
    assert code == ConfigError.exit_code
    assert "PWAE_NO_SUCH is not set" in found["view"]


def test_a_live_camera_that_gives_frames_is_told_from_one_that_does_not(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mjpeg: MjpegServer
) -> None:
    cameras = {
        "live": {"kind": "http", "url": mjpeg.url, "trigger": {}},
        "dead": {"kind": "rtsp", "url": "rtsp://127.0.0.1:9/none", "timeout_s": 1},
    }
    code, found = ask_doctor(tmp_path, bundle_path, at(mosquitto.port), cameras=cameras)
    assert code == CameraError.exit_code
    assert "gives frames of 96 x 96" in found["camera live"]
    assert "no frame (cannot be opened (Connection refused))" in found["camera dead"]


def test_a_camera_whose_pictures_are_squeezed_is_warned_of(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto
) -> None:
    bundle = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    provenance = {"training": {"aspects": [1.33]}}
    save_manifest(bundle, load_bundle(bundle).manifest.model_copy(update={"provenance": provenance}))
    code, found = ask_doctor(tmp_path, bundle, at(mosquitto.port))
    assert code == 0, found
    assert "pictures of top are squeezed, 1 times as wide as high, and what trained 1.33" in found["camera top"]
