import sqlite3
from pathlib import Path

import pytest

from core.database import Database


def test_a_schema_whose_words_are_damaged_is_told_as_sqlites_own_faults_are(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    database = sqlite3.connect(path, factory=Database)
    database.execute("CREATE TABLE events (number INTEGER)")
    database.close()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(number", b"\xcbnumber"))
    for ask in ("execute", "executescript"):
        database = sqlite3.connect(path, factory=Database)
        with pytest.raises(sqlite3.DatabaseError) as told:
            getattr(database, ask)("SELECT * FROM events")
        assert told.value.sqlite_errorcode == sqlite3.SQLITE_CORRUPT
        database.close()
