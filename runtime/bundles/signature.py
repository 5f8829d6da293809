"""The site's signature of a bundle: Ed25519, over the bytes of `bundle.json`, which names the hash of every file."""

from pathlib import Path

from core.errors import ArtifactError, ConfigError
from core.files import read_now


def require_signature(file: Path, content: bytes, public_key: Path) -> None:
    """Check that `file` holds the signature of `content` by the key that belongs to `public_key` (PEM).

    Raises ArtifactError where it does not, ConfigError where the key or the package cryptography cannot be used.
    """
    missing: OSError | None = None
    try:
        signature = read_now(file)
    except OSError as error:
        signature, missing = b"", error
    if is_signed(signature, content, public_key):
        return
    if missing is not None:
        raise ArtifactError(
            f"{file.parent}: not signed; `export-engine sign` it with the key that belongs to {public_key}."
        ) from missing
    raise ArtifactError(
        f"{file.parent}: its signature does not belong to {public_key}, or it was altered after signing; do not use it."
    )


def is_signed(signature: bytes, content: bytes, public_key: Path) -> bool:
    """Say whether `signature` is that of `content` by the key that belongs to `public_key` (PEM).

    Raises ConfigError where the key or the package cryptography cannot be used.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise ConfigError("checking a signature needs the package cryptography; pip install '.[sign]'.") from error
    try:
        key = load_pem_public_key(read_now(public_key))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{public_key}: no readable public key in PEM ({getattr(error, 'strerror', error)})."
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{public_key}: not an Ed25519 public key; openssl pkey -in PRIVATE -pubout makes it.")
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True
