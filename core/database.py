"""SQLite databases: where their journals are, and connections whose faults all come as sqlite3.Error."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Database(sqlite3.Connection):
    """A connection, for `sqlite3.connect(path, factory=Database)`.

    SQLite tells what it found in a broken schema byte by byte, which Python then cannot decode.
    """

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """See sqlite3.Connection."""
        return _without_broken_text(lambda: super(Database, self).execute(*arguments))

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        """See sqlite3.Connection."""
        return _without_broken_text(lambda: super(Database, self).executemany(*arguments))

    def executescript(self, *arguments: Any) -> sqlite3.Cursor:
        """See sqlite3.Connection."""
        return _without_broken_text(lambda: super(Database, self).executescript(*arguments))


def fault_code(error: sqlite3.Error) -> int:
    """Give SQLite's primary code. Python has none for text that it cannot decode, which only a damaged file has."""
    without = sqlite3.SQLITE_CORRUPT if isinstance(error, sqlite3.OperationalError) else 0
    return getattr(error, "sqlite_errorcode", without) & 0xFF


def journal_of(database: Path) -> Path:
    """Where a database's journal (`-wal`) is."""
    return database.with_name(f"{database.name}-wal")


def _without_broken_text(work: Callable[[], T]) -> T:
    try:
        return work()
    except UnicodeDecodeError as error:
        damaged = sqlite3.DatabaseError("its schema is damaged")
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged from error
