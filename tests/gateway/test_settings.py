"""The gateway's configuration, and how it ends where it cannot be used: in one line, before the nodeset is read."""

import asyncio
import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from core.config import parse_settings
from core.errors import ConfigError
from gateway.access import load_trusted, make_certificate, require_pair
from gateway.cli import opcua_gateway
from gateway.settings import GatewaySettings
from tests.full_disk import full_disk

SMALLEST: dict[str, Any] = {"stations": {"press-3": "plant/press-3"}, "broker": {"host": "mes"}}
USERS = {"users": {"scada": {"password_file": "password"}}}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"station": {"press-3": "plant"}}, "stations"),
        ({"broker": {}}, "`broker` needs `host`"),
        ({"stations": {}}, "stations"),
        ({"stations": {"press-3": "plant/#"}}, "no topic prefix"),
        ({"host": "0.0.0.0"}, "can be reached from elsewhere; set `security`"),  # noqa: S104
        ({"host": "[::1]"}, "no scheme, port or brackets"),
        ({"security": {"users": {}}}, "users"),
        ({"security": {"users": {"scada": {}}}}, "one of them"),
    ],
)
def test_what_cannot_be_meant_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_settings({**SMALLEST, **changed}, GatewaySettings, "gateway.yaml")


def test_with_security_it_may_be_reached_from_elsewhere() -> None:
    settings = parse_settings({**SMALLEST, "host": "0.0.0.0", "security": USERS}, GatewaySettings, "g")  # noqa: S104
    assert settings.client_id == f"opcua-gateway-{socket.gethostname()}-4840"


@pytest.mark.parametrize("name", ["box 1", "presse-\u00fc#+/", "a" * 255])
def test_gateways_on_two_machines_have_client_ids_of_their_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    settings = parse_settings(SMALLEST, GatewaySettings, "g")
    assert re.fullmatch(r"opcua-gateway-[A-Za-z0-9_-]{1,40}-4840", settings.client_id)
    monkeypatch.setattr(socket, "gethostname", lambda: "box-2")
    assert settings.client_id == "opcua-gateway-box-2-4840"


def test_an_empty_password_is_none(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")
    users = {"users": {"scada": {"password_file": str(tmp_path / "password")}}}
    settings = parse_settings({**SMALLEST, "security": users}, GatewaySettings, "g")
    assert settings.security is not None
    with pytest.raises(ConfigError, match=r"security\.users\.scada\.password_file: the first line of .* is empty"):
        settings.security.passwords()


def port_taken(folder: Path) -> dict[str, Any]:
    return {}


def no_password(folder: Path) -> dict[str, Any]:
    return {"security": {"users": {"scada": {"password_file": str(folder / "none")}}}}


def no_key(folder: Path) -> dict[str, Any]:
    (folder / "password").write_text("open sesame\n")
    (folder / "own.pem").write_text("no certificate")
    users = {"scada": {"password_file": str(folder / "password")}}
    return {"security": {"cert_file": str(folder / "own.pem"), "key_file": str(folder / "own.key"), "users": users}}


def pipe(folder: Path) -> dict[str, Any]:
    """What would be waited for."""
    security = no_key(folder)
    (folder / "own.pem").unlink()
    os.mkfifo(folder / "own.pem")
    return security


def other_key(folder: Path) -> dict[str, Any]:
    """The key of another certificate."""
    security = no_key(folder)
    for name in ("own", "other"):
        (folder / "own.key").unlink(missing_ok=True)
        make_certificate(folder / f"{name}.pem", folder / "own.key", "urn:test")
    return security


def no_rsa(folder: Path) -> dict[str, Any]:
    """A pair that belongs together, and that no client could use."""
    security = no_key(folder)
    (folder / "own.key").unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.access.generate_private_key", lambda: ec.generate_private_key(ec.SECP256R1()))
        make_certificate(folder / "own.pem", folder / "own.key", "urn:test")
    return security


def test_a_certificate_that_has_expired_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.access.CERTIFICATE_DAYS", 0)
    make_certificate(tmp_path / "own.pem", tmp_path / "own.key", "urn:test")
    require_pair(tmp_path / "own.pem", tmp_path / "own.key")
    assert "certificate expired" in caplog.text


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_folder_without_certificates_trusts_nobody(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "client.der").write_bytes(content)
    with pytest.raises(ConfigError, match="security.trusted_folder"):
        asyncio.run(load_trusted(tmp_path))


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (port_taken, "cannot listen on"),
        (no_password, "cannot be read"),
        (no_key, "own.pem"),
        (pipe, "it is no file"),
        (other_key, "another certificate's"),
        (no_rsa, "no RSA key"),
    ],
)
def test_it_ends_in_one_line_with_exit_code_2_before_anything_is_read_that_takes_seconds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    prepare: Callable[[Path], dict[str, Any]],
    told: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        if prepare is not port_taken:
            taken.close()
        config = tmp_path / "gateway.yaml"
        config.write_text(yaml.safe_dump({**SMALLEST, "port": port, **prepare(tmp_path)}))
        monkeypatch.setattr(sys, "argv", ["opcua-gateway", str(config)])
        monkeypatch.setattr("gateway.server.Server.init", None)
        with pytest.raises(SystemExit) as end:
            opcua_gateway()
    assert end.value.code == ConfigError.exit_code
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert told in last


@pytest.mark.parametrize(
    "left_bytes", [0, 100, 1800], ids=["none of the key", "part of the key", "none of the certificate"]
)
def test_a_key_that_a_full_disk_cut_does_not_stay_to_be_refused_when_there_is_room(
    tmp_path: Path, left_bytes: int
) -> None:
    cert_file, key_file = tmp_path / "own.pem", tmp_path / "own.key"
    if left_bytes == 1800:
        cert_file = tmp_path / "absent" / "own.pem"
    with full_disk(left_bytes), pytest.raises(OSError, match=r"\S"):
        make_certificate(cert_file, key_file, "urn:test")
    assert not key_file.exists()
    make_certificate(tmp_path / "own.pem", key_file, "urn:test")
    require_pair(tmp_path / "own.pem", key_file)
