"""Packages: a bundle as one file, copied to a box and checked by one hash; and a site's signature on a bundle."""

import shutil
import tempfile
import zipfile
import zlib
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from core.errors import ArtifactError, ConfigError
from core.files import read_now, sha256_of
from export.staging import put, work_folder
from runtime.bundles.bundle import Bundle, load_bundle, read_manifest
from runtime.bundles.manifest import MANIFEST, SIGNATURE, Manifest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LARGEST_BYTES = 8_000_000_000
"""Of an unpacked bundle: one that claims more is no bundle of ours."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(bundle: Bundle, file: Path) -> str:
    """Write a bundle into one new file, and give its sha256. The same bundle gives the same file.

    Raises ConfigError where `file` exists or cannot be written.
    """
    if file.exists():
        raise ConfigError(f"{file}: exists; choose another --output.")
    names = sorted([MANIFEST, *bundle.manifest.files])
    if bundle.is_signed:
        names.append(SIGNATURE)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=Path(realpath(file)).parent) as folder:
            packed = Path(folder) / "packed"
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for name in names:
                    entry = zipfile.ZipInfo(name, _EPOCH)
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    with (bundle.path / name).open("rb") as source, archive.open(entry, "w") as target:
                        shutil.copyfileobj(source, target)
            packed.rename(file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror}); choose another --output.") from error
    return sha256_of(file)


def unpack(file: Path, output: Path, sha256: str | None = None) -> Bundle:
    """Unpack a bundle into the folder `output`, which is not there yet, and check it.

    Raises ArtifactError where the file is missing, damaged, no packed bundle, or its hash is not `sha256`; ConfigError
    where `output` exists or cannot be written.
    """
    if not file.is_file():
        raise ArtifactError(f"{file}: no such file; `export-engine pack` writes one.")
    found = sha256_of(file)
    if sha256 is not None and found != sha256.lower():
        raise ArtifactError(f"{file}: its sha256 is {found}, not {sha256}; copy it again.")
    if output.exists():
        raise ConfigError(f"{output}: exists; choose another --output.")
    with work_folder(output) as work:
        try:
            with zipfile.ZipFile(file) as archive:
                bundle = _extract(archive, work)
        # What zipfile raises of a file that is none, was cut, or uses what we never do.
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
            raise ArtifactError(f"{file}: damaged, or no packed bundle ({error}); copy it again.") from error
        except OSError as error:
            raise ConfigError(f"{output}: cannot be written ({error.strerror}); choose another --output.") from error
        except ArtifactError as error:
            raise ArtifactError(str(error).replace(str(work), str(file))) from error
        put(work, output)
    return bundle.model_copy(update={"path": output})


def _extract(archive: zipfile.ZipFile, folder: Path) -> Bundle:
    """Write the bundle's own files, and check them. Raises ArtifactError where there is anything else, or too much."""
    if sum(entry.file_size for entry in archive.infolist()) > LARGEST_BYTES:
        raise ArtifactError(f"{folder}: more than {LARGEST_BYTES / 1e9:.0f} GB when unpacked; do not use it.")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in archive.infolist()):
        raise ArtifactError(f"{folder}: packed in another way than `export-engine pack` does; do not use it.")
    _copy(archive, MANIFEST, folder)
    named = {MANIFEST, SIGNATURE, *read_manifest(folder).files}
    for name in archive.namelist():
        if name not in named:
            raise ArtifactError(f"{folder}: holds {name}, which {MANIFEST} does not name; do not use it.")
    for name in named.intersection(archive.namelist()) - {MANIFEST}:
        _copy(archive, name, folder)
    return load_bundle(folder)


def _copy(archive: zipfile.ZipFile, name: str, folder: Path) -> None:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, target.open("wb") as out:
        shutil.copyfileobj(source, out)


def sign(path: Path, private_key: Path) -> None:
    """Sign a bundle with an Ed25519 key in PEM: `bundle.sig` signs `bundle.json`, which names every file's hash.

    Raises ConfigError where the key cannot be used or the bundle not be written, ArtifactError where it is damaged.
    """
    checked = load_bundle(path).manifest
    key = load_private_key(private_key)
    try:
        content = (path / MANIFEST).read_bytes()
        if Manifest.model_validate_json(content) != checked:
            raise ArtifactError(
                f"{path}: {MANIFEST} was altered while it was checked; look who does so, and try again."
            )
        (path / SIGNATURE).write_bytes(key.sign(content))
    except ValidationError as error:
        raise ArtifactError(f"{path}: {MANIFEST} was altered while it was checked; look who does so.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); sign it where it can be.") from error


def load_private_key(file: Path) -> "Ed25519PrivateKey":
    """Read the site's private key, PEM without a passphrase. Raises ConfigError where it is none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(read_now(file), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{file}: no readable private key in PEM without a passphrase ({error}).") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{file}: not an Ed25519 key; openssl genpkey -algorithm ed25519 -out FILE makes one.")
    return key
