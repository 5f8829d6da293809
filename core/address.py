"""Addresses as they are written."""

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
"""Whoever listens there is reached from this machine alone."""


def host_and_port(host: str, port: int) -> str:
    """Write both as in a URL: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
