"""Shifts: when the one began in which a part was judged. Pure; the time zone is the machine's."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta


def shift_start(at_s: float, begins: Sequence[time]) -> str:
    """Give the start of the shift that `at_s` (Unix time) lies in, such as `2026-11-23T06:00`, in local time.

    `begins` are the times of the day at which a shift begins, one at least.
    """
    at = datetime.fromtimestamp(at_s)
    days = (at.date(), at.date() - timedelta(days=1))
    started = max(start for day in days for begin in begins if (start := datetime.combine(day, begin)) <= at)
    return started.isoformat(timespec="minutes")
