"""Trust: whether a camera over https:// or rtsps:// is the one that it claims to be.

FFMPEG refuses what is not trusted, also where a camera leads on to, and says nothing of why. So its certificate is
looked at here before.
"""

import errno
import socket
import ssl
from pathlib import Path

from core.certificates import trusting
from core.errors import ConfigError

DATES, WEAK, SELF_SIGNED, WRONG_NAMES = {9, 10}, {66, 67, 68}, {18}, {62, 64}
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED; _EE_KEY_TOO_SMALL, _CA_KEY_TOO_SMALL, _CA_MD_TOO_WEAK;
_DEPTH_ZERO_SELF_SIGNED_CERT; _HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH."""
SHOW = "`openssl s_client -connect HOST:PORT </dev/null | openssl x509"


def require_certificates(name: str, ca_file: Path | None) -> None:
    """Raises ConfigError where the certificates that are to be trusted cannot be used."""
    try:
        _context(ca_file)
    except OSError as error:
        raise ConfigError(f"camera {name}: {error.strerror}.") from error


def require_trusted(connection: socket.socket, host: str, ca_file: Path | None) -> None:
    """Begin TLS on a connection that is not used after. Raises OSError with what is wrong, and what to do."""
    context = _context(ca_file)
    try:
        context.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        words = f"its certificate is not trusted: {error.verify_message}; {_remedy(error.verify_code)}"
        raise OSError(errno.EPROTO, words) from None
    except TimeoutError:
        raise OSError(errno.ETIMEDOUT, "it does not answer, or speaks no TLS there; check the port in `url`") from None
    except (ssl.SSLError, ConnectionResetError) as error:
        reason = getattr(error, "reason", None) or "it ends the connection"
        words = f"no TLS 1.2 or 1.3 was possible ({reason}); check the port in `url`, update its software"
        raise OSError(errno.EPROTO, words) from None


def ffmpeg_options(ca_file: Path | None) -> dict[str, str]:
    """Let FFMPEG check certificate and host name; it does neither by itself.

    The TLS in PyAV's wheel looks for the system's certificates in one place only, which is not Debian's.
    """
    place = ca_file or _system_file()
    return {"tls_verify": "1"} | ({"ca_file": str(place)} if place else {})


def _system_file() -> Path | None:
    paths = ssl.get_default_verify_paths()
    debian = Path(paths.capath or "/etc/ssl/certs") / "ca-certificates.crt"
    return Path(paths.cafile) if paths.cafile else debian if debian.is_file() else None


def _context(ca_file: Path | None) -> ssl.SSLContext:
    """Raises OSError where the file cannot be used."""
    try:
        context = trusting(ca_file)
    except OSError as error:
        words = f"its ca_file {ca_file} cannot be used ({error.strerror}); put its certificate there"
        raise OSError(errno.EINVAL, words) from None
    # As FFMPEG does: a camera's own certificate is enough, whoever signed it, even one of version 1, which Python 3.13
    # would refuse.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _remedy(code: int) -> str:
    if code in DATES:
        return "have it renewed, or set this machine's clock"
    if code in WRONG_NAMES:
        return f"write a name from the certificate into `url` ({SHOW} -noout -subject -ext subjectAltName` shows them)"
    if code in WEAK:
        return "have the camera make one of RSA with 2048 bits and SHA-256, or of ECDSA"
    if code in SELF_SIGNED:
        return f"save it ({SHOW} > camera.pem`), see that it is the camera's, and name the file in `ca_file`"
    return "name the certificate of the CA that signed it, or the camera's, in `ca_file`"
