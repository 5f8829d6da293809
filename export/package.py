"""Packages: a bundle as one file, copied to a box and checked by one hash; and a site's signature on a bundle."""

import zipfile
from pathlib import Path

from core.errors import ArtifactError, ConfigError
from runtime.bundle import MANIFEST, SIGNATURE, Bundle, load_bundle, sha256_of

_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(bundle: Bundle, file: Path) -> str:
    """Write a bundle into one file, and give its sha256. The same bundle gives the same file."""
    names = sorted([MANIFEST, *bundle.manifest.files])
    if (bundle.path / SIGNATURE).is_file():
        names.append(SIGNATURE)
    temporary = file.with_name(f".{file.name}.part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), (bundle.path / name).read_bytes(), zipfile.ZIP_DEFLATED)
    temporary.replace(file)
    return sha256_of(file)


def unpack(file: Path, output: Path, sha256: str | None = None) -> Bundle:
    """Unpack a bundle into the folder `output`, which is not there yet, and check it.

    Raises ArtifactError where the file is missing, damaged, no packed bundle, or its hash is not `sha256`.
    """
    if not file.is_file():
        raise ArtifactError(f"{file}: no such file; `export-engine pack` writes one.")
    found = sha256_of(file)
    if sha256 is not None and found != sha256.lower():
        raise ArtifactError(f"{file}: its sha256 is {found}, not {sha256}; copy it again.")
    if output.exists():
        raise ConfigError(f"{output}: exists; choose another --output.")
    work = output.with_name(f".{output.name}.part")
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                target = work / entry.filename
                if not target.resolve().is_relative_to(work.resolve()):
                    raise ArtifactError(f"{file}: names {entry.filename}, outside the bundle; do not use it.")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(entry))
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise ArtifactError(f"{file}: damaged, or no packed bundle ({error}); copy it again.") from error
    load_bundle(work)
    work.rename(output)
    return load_bundle(output)


def sign(path: Path, private_key: Path) -> None:
    """Sign a bundle with an Ed25519 key in PEM: `bundle.sig` signs `bundle.json`, which names every file's hash.

    Raises ConfigError where the key cannot be used, ArtifactError where the bundle is damaged.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    load_bundle(path)
    try:
        key = load_pem_private_key(private_key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{private_key}: no readable private key in PEM without a passphrase ({error}).") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{private_key}: not an Ed25519 key; openssl genpkey -algorithm ed25519 -out FILE makes one.")
    (path / SIGNATURE).write_bytes(key.sign((path / MANIFEST).read_bytes()))
