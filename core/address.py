"""Addresses as they are written."""


def host_and_port(host: str, port: int) -> str:
    """Write both as in a URL: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
