"""Certificates: whom a TLS connection of ours trusts."""

import errno
import ssl
from pathlib import Path

from core.files import require_file


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Trust what the CAs in `ca_file` (PEM) have signed, or the system's CAs, by TLS 1.2 or newer.

    Raises OSError where the file cannot be used, with the reason in words as its `strerror`.
    """
    try:
        context = ssl.create_default_context(cafile=require_file(ca_file) if ca_file else None)
    except ssl.SSLError as error:
        raise OSError(errno.EINVAL, "it holds no certificate in PEM") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
