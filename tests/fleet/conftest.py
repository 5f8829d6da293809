"""Fixtures: a broker, an HTTPS server, a site's key, and packages signed with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.files import sha256_of
from export.package import pack, sign
from fleet.order import Package
from runtime.bundles.bundle import load_bundle, save_manifest
from runtime.bundles.known_pictures import KNOWN_PICTURES, save_known_pictures
from tests.fleet.https_server import HttpsServer
from tests.runtime.broker import Mosquitto
from tests.runtime.pictures import good_picture
from tests.runtime.small_bundle import write_bundle


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpsServer]:
    https = HttpsServer(tmp_path_factory.mktemp("https"))
    yield https
    https.close()


@dataclass(frozen=True)
class Key:
    private: Ed25519PrivateKey
    private_file: Path
    public_file: Path


def new_key(folder: Path, name: str) -> Key:
    private = Ed25519PrivateKey.generate()
    key = Key(private, folder / f"{name}.pem", folder / f"{name}.pub")
    pem = serialization.Encoding.PEM
    key.private_file.write_bytes(
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    key.public_file.write_bytes(private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return key


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return new_key(tmp_path_factory.mktemp("key"), "site")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, server: HttpsServer, key: Key) -> Callable[..., Package]:
    """Write, sign, pack and serve a bundle that takes `grey` for good; `lying`: its known answers are another's."""

    def make(grey: float, signed_by: Key = key, lying: bool = False) -> Package:
        folder = tmp_path_factory.mktemp("packed")
        bundle = write_bundle(folder / "bundle", grey)
        if lying:
            save_known_pictures(bundle, np.stack([good_picture(1)]), np.full((1, 10), 9.0, np.float32))
            manifest = load_bundle(bundle).manifest
            files = {**manifest.files, KNOWN_PICTURES: sha256_of(bundle / KNOWN_PICTURES)}
            save_manifest(bundle, manifest.model_copy(update={"files": files}))
        sign(bundle, signed_by.private_file)
        sha256 = pack(load_bundle(bundle), folder / "bundle.zip")
        server.files[sha256] = (folder / "bundle.zip").read_bytes()
        return Package(sha256=sha256, url=server.url(sha256))

    return make


@dataclass(frozen=True)
class Box:
    """A station's files: its configuration, the agent's, and the link to its bundle."""

    station: str
    link: Path
    inspection: Path
    agent: Path


def new_box(folder: Path, name: str, broker: Mosquitto, server: HttpsServer, key: Key, camera: dict[str, Any]) -> Box:
    box = Box(f"pwae/site/area/line/{name}", folder / "cell.bundle", folder / "inspection.yaml", folder / "agent.yaml")
    first = write_bundle(folder / "cell.bundle-1")
    sign(first, key.private_file)
    box.link.symlink_to(first.name)
    inspection = {
        "bundle": str(box.link),
        "bundle_key": str(key.public_file),
        "station": name,
        "cameras": {"top": camera},
        "broker": {"host": "127.0.0.1", "port": broker.port},
        "outbox": {"path": str(folder / "outbox.sqlite")},
        "commands": ["reload"],
    }
    box.inspection.write_text(yaml.safe_dump(inspection))
    box.agent.write_text(yaml.safe_dump({"inspection": str(box.inspection), "ca_file": str(server.ca_file)}))
    return box
