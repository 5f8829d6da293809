"""Unlike: what is said of many pictures some of which differ from all that trained."""

from collections import Counter
from collections.abc import Mapping

from core.pictures.unlike import COLUMNS, SAID


class Unlikes:
    """Pictures of which some differ from all that trained."""

    def __init__(self) -> None:
        """Begin with none."""
        self._count = 0
        self._found: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, name: object, row: Mapping[str, object]) -> None:
        """Count a picture, in whose `row` COLUMNS say how it differs."""
        self._count += 1
        for column in COLUMNS:
            if row[column]:
                self._found[column] += 1
                self._first.setdefault(column, f"{name} ({row[column]})")

    def told(self) -> str:
        """Warn of those that differ, a line for each way, in which the first is named; empty where there are none."""
        return "".join(
            f"warning: {self._found[column]} of {self._count} pictures {SAID[column]}, such as {first}: what is said "
            "of them means little; give pictures as the line's camera gives them, and train on such.\n"
            for column, first in sorted(self._first.items())
        )
