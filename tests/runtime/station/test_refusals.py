"""What keeps a run from starting or ends it at once: one line and an exit code; and the broker of a trial."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import ArtifactError, BrokerError, CameraError, ConfigError, OutboxError
from runtime.bundles.manifest import MANIFEST
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import at, finish, folder, run_command, seqs, stored, write_config
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.waiting import WAIT_S


@pytest.mark.machine
def test_the_embedded_broker_serves_where_none_is_configured(tmp_path: Path, bundle_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 200)
    port = free_port()
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures, max_fps=100)}, broker={"port": port})
    process = run_command(config)
    assert process.stderr is not None
    assert any(f"broker started here, 127.0.0.1:{port}" in line for line in process.stderr)
    mes = Subscriber(port)
    _out, err = process.communicate(timeout=WAIT_S)
    mes.close()
    assert process.returncode == 0, err
    assert len(mes.events()) > 100
    assert mes.events()[-1]["seq"] == 200
    assert seqs(mes.events()) == list(range(mes.events()[0]["seq"], 201))


def unreachable(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    config["broker"] = at(free_port(), connect_timeout_s=0.3)
    return BrokerError


def damaged_bundle(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    copy = shutil.copytree(config["bundle"], tmp_path / "copy")
    (copy / MANIFEST).write_text("{}")
    config["bundle"] = str(copy)
    return ArtifactError


def no_bundle(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    config["bundle"] = str(tmp_path / "none")
    return ArtifactError


def no_folder(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    config["cameras"] = {"top": folder(tmp_path / "none")}
    return CameraError


def empty_folder(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    (tmp_path / "empty").mkdir()
    config["cameras"] = {"top": folder(tmp_path / "empty")}
    return CameraError


def no_video(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    config["cameras"] = {"top": {"kind": "video", "path": str(tmp_path / "none.avi")}}
    return CameraError


def no_password(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    config["broker"] = at(free_port(), username="u", password_env="PWAE_NO_SUCH")  # noqa: S106
    return ConfigError


def bad_outbox(tmp_path: Path, config: dict[str, Any]) -> type[Exception]:
    (tmp_path / "file").touch()
    config["outbox"] = {"path": str(tmp_path / "file" / "box.sqlite")}
    return OutboxError


def spoilt(tmp_path: Path, bundle_path: Path, spoil: Any) -> tuple[Path, type[Any]]:
    """A configuration that cannot run, and the error that says so."""
    content: dict[str, Any] = {
        "bundle": str(bundle_path),
        "cameras": {"top": folder(write_pictures(tmp_path / "pictures", 2))},
        "broker": at(free_port()),
    }
    expected = spoil(tmp_path, content)
    return write_config(tmp_path, content.pop("bundle"), content.pop("cameras"), **content), expected


def assert_one_line(code: int, err: str, expected: type[Any]) -> None:
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == expected.exit_code, err
    assert len(errors) == 1, err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "spoil", [damaged_bundle, no_bundle, no_folder, empty_folder, no_video, no_password, bad_outbox]
)
def test_what_a_person_can_mend_is_one_line_and_an_exit_code(
    tmp_path: Path, bundle_path: Path, spoil: Any, finish_here: Callable[..., tuple[int, str, str]]
) -> None:
    config, expected = spoilt(tmp_path, bundle_path, spoil)
    code, _out, err = finish_here(config)
    assert_one_line(code, err, expected)


def test_a_process_ends_so_where_the_broker_is_unreachable(tmp_path: Path, bundle_path: Path) -> None:
    config, expected = spoilt(tmp_path, bundle_path, unreachable)
    code, _out, err = finish(config)
    assert_one_line(code, err, expected)


def test_a_refused_login_ends_a_finite_run_at_once_with_the_events_kept(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto
) -> None:
    mosquitto.stop()
    mosquitto.extra = mosquitto.password_file("station", "right")
    mosquitto.start()
    pictures = write_pictures(tmp_path / "pictures", 5)
    config = write_config(
        tmp_path, bundle_path, {"top": folder(pictures)}, broker=at(mosquitto.port, connect_timeout_s=60)
    )
    code, _out, err = finish(config)
    assert code == BrokerError.exit_code
    assert "check broker.username" in err
    assert f" {stored(tmp_path / 'outbox.sqlite')} events wait in " in err
