"""TLS: the context of an encrypted connection to the broker."""

import ssl
from pathlib import Path

from core.certificates import trusting
from core.errors import ConfigError
from core.files import require_file
from runtime.mqtt.settings import TlsSettings


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """Build the TLS context. Raises ConfigError where a certificate or key cannot be used, which names it."""
    context = _trusting(tls.ca_file, "ca_file")
    if tls.cert_file:
        _trusting(tls.cert_file, "cert_file")  # which tells a certificate from what is none
        key = tls.key_file or tls.cert_file
        try:
            context.load_cert_chain(tls.cert_file, require_file(key), password=_refuse_passphrase)
        except ssl.SSLError as error:
            if "TOO_" in (error.reason or ""):  # such as EE_KEY_TOO_SMALL: of the certificate, whatever the key
                raise ConfigError(
                    f"broker.tls.cert_file: {tls.cert_file} is too weak for this machine's OpenSSL ({error.reason}); "
                    "have one issued with a longer key (RSA of 2048 bits, say)."
                ) from error
            why = f"it holds no key, or not that of {tls.cert_file}"
            raise ConfigError(f"broker.tls.key_file: {key} cannot be used ({why}); check it.") from error
        except OSError as error:
            raise ConfigError(f"broker.tls.key_file: {key} cannot be used ({error.strerror}); check it.") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trusting(file: Path | None, key: str) -> ssl.SSLContext:
    try:
        return trusting(file)
    except OSError as error:
        raise ConfigError(f"broker.tls.{key}: {file} cannot be used ({error.strerror}); check it.") from error


def _refuse_passphrase() -> str:
    """Asked for by OpenSSL, which would ask at the terminal and wait."""
    raise OSError(None, "it has a passphrase, which nobody could type here; take it off: openssl pkey -in KEY -out NEW")
