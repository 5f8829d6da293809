"""Timestamps as text: RFC 3339 in UTC."""

import datetime


def rfc3339(unix_s: float) -> str:
    """RFC 3339 in UTC with milliseconds, as in `2026-11-23T22:05:07.120Z`."""
    moment = datetime.datetime.fromtimestamp(unix_s, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
