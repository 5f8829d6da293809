"""Ages: how long the pictures of each day's folder have been kept, by the machine's time and not by their own.

A file's time is the wall clock's, which is set now and then: years ahead after a start without network, or back.
"""

import json
import logging
from pathlib import Path
from typing import Any

from core.files import write_whole
from runtime.threads.lifetime import Kept, Lifetime, MachineTime

log = logging.getLogger(__name__)
FILE = ".ages.json"


class Ages:
    """When each day's folder was written to last. Belongs to the evidence's thread."""

    def __init__(self, folder: Path, machine: MachineTime) -> None:
        """Go on from what an earlier run kept in `folder`; without that, all counts as new."""
        self._file = folder / FILE
        kept = self._read()
        try:
            last = Kept(str(kept["boot"]), float(kept["since_boot_s"]), float(kept["lived_s"]))
            self._days = {str(day): float(written_s) for day, written_s in kept["days"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            last, self._days = None, {}
        self._lifetime = Lifetime(last, machine)

    def now_s(self) -> float:
        """Seconds, for comparing."""
        return self._lifetime.now_s()

    def of(self, day: str) -> float:
        """When the folder `day` was written to last, as far as it is known."""
        return min(self._days.setdefault(day, self.now_s()), self.now_s())

    def wrote(self, day: str) -> float:
        """The folder `day` was written to now. Raises OSError."""
        is_new = day not in self._days
        self._days[day] = self.now_s()
        if is_new or self._lifetime.is_due:
            self.keep()
        return self._days[day]

    def forget(self, day: str) -> None:
        """The folder `day` is gone."""
        self._days.pop(day, None)

    def keep(self) -> None:
        """Keep them for the next run. Raises OSError."""
        kept = self._lifetime.keep()
        content = {"boot": kept.boot, "since_boot_s": kept.since_boot_s, "lived_s": kept.lived_s, "days": self._days}
        write_whole(self._file, json.dumps(content).encode())

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("evidence: the ages of what is kept cannot be read, all counts as new: %s", error)
            return {}
        return content if isinstance(content, dict) else {}
