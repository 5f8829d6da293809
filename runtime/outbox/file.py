"""The outbox's file: opened by one station only, under whatever name, and waited for while another program locks it."""

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TypeVar

from core.database import Database, fault_code, journal_of
from core.errors import OutboxError
from core.files import identity, require_file
from runtime.outbox.schema import require_ours, waiting
from runtime.outbox.write_ahead import changes

log = logging.getLogger(__name__)
BUSY_S = 1.0
"""How long SQLite itself waits for a lock before it asks again here."""
PAUSE_S = 0.02
LEAST_BYTES, HEADER_BYTES = 2, 100
"""A smaller file is empty to SQLite, and new; a database begins with a header."""
PLACEHOLDER = b"\n"
"""What stands in a file that is held and was no outbox yet: empty to SQLite, and by it the next knows that it was."""
TELL_EVERY_S = 10.0
LOOK_EVERY_S = 1.0
"""How often one looks whether the file is still where it was."""
JOURNAL_REMEDY = (
    "after a power cut nothing: what the broker had taken may come again; else look at the disk, and the MES misses "
    "the numbers of what is gone"
)
GONE = "was moved or removed while the station runs; what waits is sent as long as it runs, and lost when it ends"
GONE_REMEDY = "let it run until the broker has taken all, restart it, and leave the file where it is"
LOCKED_PATIENCE_S = 300.0
"""How long a lock of another program is waited for: a backup or somebody's look into the file ends by itself."""
T = TypeVar("T")

REMEDIES = {
    sqlite3.SQLITE_FULL: "make free space on the disk; what is stored stays, and goes out with the next run",
    sqlite3.SQLITE_IOERR: "look at the disk and its free space; what is stored stays",
    sqlite3.SQLITE_READONLY: "check the permissions of the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "check the permissions of the file and its folder",
    sqlite3.SQLITE_PERM: "check the permissions of the file and its folder",
    sqlite3.SQLITE_NOTADB: "it is no outbox: set another `outbox.path`",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: keep it, `sqlite3 FILE .recover` reads what can be read of its "
    "events; set another `outbox.path` meanwhile, and look at the disk",
}


class OutboxFile:
    """Holds the file against other stations, and gives connections to it, until `close`."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises OutboxError where it cannot be, or another process uses it."""
        try:
            self.path = path = path.resolve()
            path.parent.mkdir(parents=True, exist_ok=True)
            is_new = _is_new(path)
            self._held: IO[bytes] = require_file(path).open("ab")
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutboxError(f"outbox {path}: cannot be opened ({reason}); check `outbox.path`.") from error
        try:
            # The file itself and not one beside it: it may have several names.
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._held.close()
            why = f"its file system gives no lock ({error.strerror}); set `outbox.path` to a disk of this machine"
            if isinstance(error, BlockingIOError):
                why = "another run-inspection uses it; stop that one or set another `outbox.path`"
            raise OutboxError(f"outbox {path}: {why}.") from error
        self._connections: list[sqlite3.Connection] = []
        self._place: dict[Path, tuple[int, int]] = {}
        """Of the file and its journal, by their names: disk and inode when they were first seen."""
        self._look_s = 0.0
        self.problem = ""
        """Why what is stored may be lost when the station ends, in words; empty: nothing is."""
        self._is_bare = False
        """Whether all that is in it comes from the journal."""
        try:
            self._changes = changes(journal_of(path))
            if os.path.getsize(path) < LEAST_BYTES:
                self._spare_journal(is_new)
        except OSError as error:
            self._held.close()
            raise OutboxError(
                f"outbox {path}: its journal {error.filename} cannot be read ({error.strerror}); check its "
                "permissions; if it is damaged keep both, set another `outbox.path` meanwhile, and look at the disk."
            ) from error

    def connect(self, synchronous: str) -> sqlite3.Connection:
        """Open a connection, in WAL mode, which any thread may use.

        Raises sqlite3.Error, where it is no outbox too; OutboxError where it has lost its beginning.
        """
        database = sqlite3.connect(self.path, check_same_thread=False, timeout=BUSY_S, factory=Database)
        self._connections.append(database)
        try:
            require_ours(database)
        except sqlite3.DatabaseError as error:
            if fault_code(error) == sqlite3.SQLITE_NOTADB and _begins_with_zeros(self.path):
                raise OutboxError(
                    f"outbox {self.path}: its beginning is lost, and the journal beside it (`-wal`) has it no more; "
                    "keep both, events can be read in them as text (`strings`); set another `outbox.path` meanwhile, "
                    "and look at the disk."
                ) from error
            raise
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {synchronous}")
        self._tell_what_is_lost(database)
        return database

    def patiently(self, work: Callable[[], T]) -> T:
        """Do `work`, one transaction, again while another program holds the file. Raises OutboxError."""
        started_s = told_s = time.monotonic()
        self.look()
        while True:
            try:
                return work()
            except sqlite3.Error as error:
                code = fault_code(error)
                waited_s = time.monotonic() - started_s
                if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    remedy = REMEDIES.get(code, "check the disk's free space and permissions")
                    raise OutboxError(f"outbox {self.path}: {error}; {remedy}.") from error
                if waited_s > LOCKED_PATIENCE_S:
                    raise OutboxError(
                        f"outbox {self.path}: locked for {waited_s:.0f} s by {holders(self.path)}; end that program. "
                        "What is stored stays, and goes out with the next run."
                    ) from error
                if waited_s >= BUSY_S and (told_s == started_s or time.monotonic() - told_s >= TELL_EVERY_S):
                    told_s = time.monotonic()
                    log.warning(
                        "outbox is locked by another program, waiting for_s=%.0f who=%r file=%s remedy=%r",
                        *(waited_s, holders(self.path), self.path),
                        "end that program, or let it finish; leave the file where it is",
                    )
                time.sleep(PAUSE_S)

    def _spare_journal(self, is_new: bool) -> None:
        """Keep SQLite from throwing away what waits in the journal beside an empty file: to it both are new then."""
        self._is_bare = bool(self._changes)
        if self._is_bare:
            self._held.truncate(0)
            self._held.truncate(HEADER_BYTES)
        elif not is_new:
            log.warning(
                "outbox is an empty file and begins anew; if a station has used it, what waited in it is gone file=%s",
                self.path,
            )

    def _tell_what_is_lost(self, database: sqlite3.Connection) -> None:
        """Say once what SQLite does not: that the file was empty, and what it cannot read of the journal."""
        if not self._changes:
            return
        (_is_busy, read, _copied) = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        unread = sum(frame > read for frame in self._changes) if read >= 0 else 0
        if self._is_bare:
            log.warning(
                "outbox has lost its content; what its journal still holds is read, what else waited, if anything, is "
                "gone events=%d file=%s",
                *(waiting(database), self.path),
            )
        if unread == 1:
            log.warning(
                "outbox: the last change in its journal is not whole, as a power cut leaves what is just being stored, "
                "and is not read file=%s",
                journal_of(self.path),
            )
        elif unread:
            log.error(
                "outbox: its journal is damaged, and what was stored last cannot be read changes=%d file=%s remedy=%r",
                *(unread, journal_of(self.path), JOURNAL_REMEDY),
            )
        self._changes = ()

    def look(self) -> None:
        """See, once a second, whether the file is where it was. Call it often; it waits for nobody else's lock."""
        if self._connections and time.monotonic() >= self._look_s:  # before, SQLite may put another journal there
            self._look_s = time.monotonic() + LOOK_EVERY_S
            self._look()

    def _look(self) -> None:
        """Say where somebody moved or removed the file while it is open: nobody finds what is stored then."""
        gone = next((name for name in (self.path, journal_of(self.path)) if self._is_gone(name)), None)
        if gone is not None and not self.problem:
            log.error("outbox: its file %s file=%s remedy=%r", GONE, gone, GONE_REMEDY)
        self.problem = "" if gone is None else f"outbox: {gone} {GONE}; {GONE_REMEDY}"

    def _is_gone(self, name: Path) -> bool:
        found = identity(name)
        if found is not None and name not in self._place:
            self._place[name] = found
        return found != self._place.get(name)

    def close(self) -> None:
        """Release the file."""
        self._look()
        for database in self._connections:
            database.close()
        self._held.close()


def _is_new(path: Path) -> bool:
    """Whether no station ever had an outbox there."""
    return not path.exists() or (path.stat().st_size == len(PLACEHOLDER) and path.read_bytes() == PLACEHOLDER)


def _begins_with_zeros(path: Path) -> bool:
    """Whether a database has lost its header."""
    with path.open("rb") as opened:
        return not any(opened.read(HEADER_BYTES))


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep a station's outbox from that station while another takes its place.

    Where there is none yet a file without content stands there meanwhile: whoever simulates may be another user, whose
    file the station could not write. Raises OutboxError where a process uses it.
    """
    is_new = _is_new(path)
    with closing(OutboxFile(path)) as file:
        if is_new:
            file.path.write_bytes(PLACEHOLDER)
        try:
            yield
        finally:
            if is_new:
                file.path.unlink(missing_ok=True)


def holders(path: Path) -> str:
    """Say who holds locks on a database, as far as the kernel tells: names and numbers of processes."""
    inodes = set()
    for name in (path.name, f"{path.name}-shm", f"{path.name}-wal"):
        try:
            inodes.add(str(path.with_name(name).stat().st_ino))
        except OSError:
            continue
    found = {}
    try:
        for line in Path("/proc/locks").read_text().splitlines():
            _number, *fields = line.split()
            process, inode = fields[-4], fields[-3].rsplit(":", 1)[-1]
            if inode in inodes and process != str(os.getpid()):
                found[process] = Path(f"/proc/{process}/comm").read_text().strip()
    except (OSError, ValueError, IndexError):
        pass
    named = ", ".join(f"{name} (process {process})" for process, name in found.items())
    return named or f"another program (`fuser -v {path}` names it)"
