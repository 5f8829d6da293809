"""Resend: an MES that lost its database is sent the events again that the broker took before, out of the journal."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from core.errors import ConfigError
from core.timestamps import rfc3339
from runtime.commands.command import Command
from runtime.delivery.resending import Resending

LATEST_AT_S = 253_402_300_799.0
"""The last second of the year 9999."""


def resend(again: Resending, cameras: Collection[str], boot_id: str, command: Command) -> Mapping[str, Any]:
    """Begin what `command` asks: from a `seq` of a run of a camera on, or from a time on. `boot_id` is of this run.

    Raises ConfigError where it says neither or both, names a run of which nothing is kept, or another one is under way;
    OutboxError for a broken journal.
    """
    camera = command.camera
    if camera not in (None, *cameras):
        raise ConfigError(f"`camera`: one of {', '.join(cameras)}; left out: all.")
    if (command.seq is None) is (command.time is None):
        raise ConfigError("resend: give `seq` (and `boot_id`, left out: of this run), or `time`.")
    journal = again.require_journal()
    if command.time is not None:
        first = journal.since_time(_in_utc(command.time))
    else:
        camera = camera or (next(iter(cameras)) if len(cameras) == 1 else None)
        if camera is None:
            raise ConfigError("resend: each camera counts its own `seq`; give `camera`.")
        run = command.boot_id or boot_id
        if run != boot_id and not journal.has_run(camera, run):
            raise ConfigError(f"resend: `boot_id`: no event of such a run of {camera} is kept; ask by `time`.")
        first = journal.since_seq(camera, run, command.seq or 0)
    count = 0 if first is None else again.begin(first, camera)
    return {"events": count, "oldest": journal.oldest}


def _in_utc(time: datetime) -> str:
    """As the journal has times. Nothing was captured before 1970: what no clock of ours can tell means the same."""
    return rfc3339(min(max(time.timestamp(), 0.0), LATEST_AT_S))
