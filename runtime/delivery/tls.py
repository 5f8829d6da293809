"""TLS: the context of an encrypted connection to the broker."""

import ssl

from core.errors import ConfigError
from core.files import require_file
from runtime.delivery.settings import TlsSettings


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """Build the TLS context. Raises ConfigError where a certificate or key cannot be used."""
    files = [file for file in (tls.ca_file, tls.cert_file, tls.key_file) if file]
    try:
        for file in files:
            require_file(file)
        context = ssl.create_default_context(cafile=tls.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except OSError as error:
        named = ", ".join(map(str, files))
        raise ConfigError(f"broker.tls: {named} cannot be used ({error.strerror or error}); check them.") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
