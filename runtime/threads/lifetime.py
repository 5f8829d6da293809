"""Lifetime: how old something is that outlives the process, by a clock that nobody can set.

The kernel counts the seconds since the machine was switched on. Kept on disk now and then, the count goes on over
restarts of the process and of the machine; while the machine is off nothing grows older.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

KEEP_EVERY_S = 60.0
"""How often the count is to be kept on disk: a machine that is switched off forgets what came after."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

MachineTime = Callable[[], tuple[str, float]]
"""Gives which start of the machine this is, and the seconds since then."""


def machine_time() -> tuple[str, float]:
    """Read the kernel's count, which goes on while the machine sleeps."""
    return _boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True)
class Kept:
    """What is kept on disk of a count."""

    boot: str
    since_boot_s: float
    lived_s: float


class Lifetime:
    """Counts the seconds since its first record was kept. For any thread."""

    def __init__(self, last: Kept | None, machine: MachineTime) -> None:
        """Go on from what was kept `last`; None: begin at 0."""
        self._machine = machine
        self._boot, now_s = machine()
        if last is None:
            self._offset_s = -now_s
        elif last.boot == self._boot and last.since_boot_s <= now_s:
            self._offset_s = last.lived_s - last.since_boot_s
        else:
            self._offset_s = last.lived_s
        self._kept_s = float("-inf")

    def now_s(self) -> float:
        """Seconds that the machine was on since the count began, at least."""
        return self._machine()[1] + self._offset_s

    def keep(self) -> Kept:
        """Give what is to be kept on disk."""
        since_boot_s = self._machine()[1]
        self._kept_s = since_boot_s
        return Kept(self._boot, since_boot_s, since_boot_s + self._offset_s)

    @property
    def is_due(self) -> bool:
        """Whether it is time to keep it again."""
        return self._machine()[1] - self._kept_s >= KEEP_EVERY_S
