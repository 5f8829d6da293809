"""Access: the gateway's certificate, and the users and clients that are let in."""

import asyncio
import hmac
import logging
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.crypto.cert_gen import dump_private_key_as_pem, generate_private_key, generate_self_signed_app_certificate
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.truststore import TrustStore
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from core.errors import ConfigError, one_line
from core.files import require_file
from gateway.settings import SecuritySettings

log = logging.getLogger(__name__)
CERTIFICATE_DAYS = 3650


class Users:
    """Lets in whom the configuration names: an asyncua UserManager."""

    def __init__(self, passwords: Mapping[str, str]) -> None:
        """`passwords` by the users' names."""
        self._passwords = passwords

    def get_user(self, _server: Any, username: str | None, password: str | None, **_others: Any) -> Any:
        """Give the user with this name and password; None is a refusal."""
        expected = self._passwords.get(username or "")
        if expected is not None and hmac.compare_digest((password or "").encode(), expected.encode()):
            return User(role=UserRole.User, name=username)
        log.warning("login refused user=%r", username)
        return None


async def secure(server: Server, settings: SecuritySettings, uri: str) -> None:
    """Let `server`, the application `uri`, take signed and encrypted connections of known users alone.

    Raises ConfigError where a certificate or key cannot be made or used.
    """
    cert_file, key_file = settings.cert_file, settings.key_file
    try:
        if not cert_file.exists() and not key_file.exists():
            await asyncio.to_thread(make_certificate, cert_file, key_file, uri)
        await server.load_certificate(require_file(cert_file), "pem")
        await server.load_private_key(require_file(key_file), format="pem")
        require_pair(cert_file, key_file)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"security: {cert_file} and {key_file} cannot be used ({one_line(error)}); check them, or remove both."
        ) from error
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    server.set_identity_tokens([ua.UserNameIdentityToken])
    if settings.trusted_folder is not None:
        options = CertificateValidatorOptions.BASIC_VALIDATION | CertificateValidatorOptions.TRUSTED
        server.set_certificate_validator(CertificateValidator(options, await load_trusted(settings.trusted_folder)))


def require_pair(cert_file: Path, key_file: Path) -> None:
    """See that both belong together, and are of a kind that the connections can use.

    Clients would be refused without a word why. Raises OSError, ValueError.
    """
    certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
    key = load_pem_private_key(key_file.read_bytes(), None)
    if certificate.public_key() != key.public_key():
        raise ValueError("the key is another certificate's")
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the key is no RSA key, as Basic256Sha256 needs one")
    if certificate.not_valid_after_utc < datetime.now(UTC):
        log.warning(
            "certificate expired file=%s remedy='remove it and its key; let the clients trust the new one'", cert_file
        )


async def load_trusted(folder: Path) -> TrustStore:
    """Read the certificates that are trusted. Raises ConfigError where there is none, or one that is none."""
    if not [*folder.glob("*.der"), *folder.glob("*.pem")]:
        raise ConfigError(
            f"security.trusted_folder: no *.der or *.pem in {folder}; put the clients' certificates there."
        )
    trusted = TrustStore([folder], [])
    try:
        await trusted.load()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"security.trusted_folder: not all *.der and *.pem in {folder} are certificates ({one_line(error)}); "
            "remove the others."
        ) from error
    return trusted


def make_certificate(cert_file: Path, key_file: Path, uri: str) -> None:
    """Make a key and a self-signed certificate for this machine and the application `uri`. Raises OSError."""
    key = generate_private_key()
    host = socket.gethostname()
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri), x509.DNSName(host)]
    usage = [ExtendedKeyUsageOID.SERVER_AUTH]
    certificate = generate_self_signed_app_certificate(
        key, f"P-WAE gateway on {host}", {}, names, usage, CERTIFICATE_DAYS
    )
    handle = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(handle, "wb") as file:
            file.write(dump_private_key_as_pem(key))
        cert_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    except OSError:  # one of both, or a part of one, would be refused from now on
        for made in (key_file, cert_file):
            made.unlink(missing_ok=True)
        raise
    log.info("certificate made file=%s remedy=%r", cert_file, "let the clients trust it")
