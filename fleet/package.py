"""The package: the packed bundle of a roll-out, looked at before any station is asked to fetch it."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.errors import ArtifactError, ConfigError
from core.files import sha256_of
from export.package import unpack
from fleet.order import Package
from runtime.bundles.manifest import MANIFEST, SIGNATURE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def examined(file: Path, url: str, key: "Ed25519PrivateKey") -> Package:
    """Unpack a package, check it and its signature by `key`, and say what stations are to fetch from `url`.

    Raises ArtifactError where the bundle is no good or not signed with that key, ConfigError where `url` is not https.
    """
    from cryptography.exceptions import InvalidSignature

    if urlsplit(url).scheme != "https":
        raise ConfigError(f"--url {url}: stations fetch over https alone.")
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        bundle = unpack(file, Path(folder) / "bundle").path
        try:
            key.public_key().verify((bundle / SIGNATURE).read_bytes(), (bundle / MANIFEST).read_bytes())
        except (OSError, InvalidSignature) as error:
            raise ArtifactError(f"{file}: not signed with `key`; export-engine sign it, and pack it again.") from error
    return Package(sha256=sha256_of(file), url=url)
