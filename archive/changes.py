"""Changes: which verdicts would be others, were one bundle to take over from another."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from rich.table import Table

from archive.ending import MARK, clear, is_written, note_written, require_new
from archive.plan import Plan, make_plan, require_ours
from archive.rejudging import Crew, judge_missing
from archive.results import rows_of_shards
from assessment.score_table import Row
from core.csv_table import write_rows
from core.errors import ConfigError
from core.files import alone, becoming, naming
from core.pictures.unlike import Unlikes
from runtime.parts.verdict import GIVEN, Verdict

WORDS = [verdict.word for verdict in GIVEN]


@dataclass(frozen=True)
class Changes:
    """What two bundles say of the same pictures."""

    pairs: Counter[tuple[str, str]]
    """Pictures by the old bundle's verdict and the new one's."""
    old_warning: str = ""
    """What is said of pictures that differ from all that trained the old one; empty where there are none."""
    new_warning: str = ""

    @property
    def changed(self) -> int:
        """Pictures of which the verdicts differ."""
        return sum(count for (old, new), count in self.pairs.items() if old != new)

    def reject_rate(self, which: int) -> float | None:
        """Share of NotOK among what the old (0) or the new (1) bundle decided; None where it decided nothing."""
        found: Counter[str] = Counter()
        for pair, count in self.pairs.items():
            found[pair[which]] += count
        rejected = found[Verdict.NOT_OK.word]
        decided = found[Verdict.OK.word] + rejected
        return rejected / decided if decided else None


def changes(
    old: Path,
    new: Path,
    places: Sequence[Path],
    output: Path,
    crew: Crew,
) -> Changes:
    """Judge an archive with two bundles and write each picture whose verdict changes into `output`, a CSV file.

    Restarts as `rejudge` does, and raises what it does.
    """
    if output.suffix != ".csv":
        raise ConfigError(f"{output}: name it .csv.")
    work = output.with_name(f"{output.name}.work")
    require_new(output, work)
    require_ours(work, {"old", "new", MARK, f".{MARK}.part"})
    with alone(work), naming(output):
        # Both before the first is judged: a bundle that is no good is told at once.
        first, second = (make_plan(bundle, places, work / name) for bundle, name in ((old, "old"), (new, "new")))
        if first.pictures != second.pictures:
            raise ConfigError(f"{work}: pictures came or went while the work was planned; remove it and begin again.")
        if is_written(output, work):  # and told of again
            with open(os.devnull, "w", encoding="utf-8") as nowhere:
                found = _write_changes(first, second, nowhere)
        else:
            judge_missing(first, crew, "judging with the old bundle")
            judge_missing(second, crew, "judging with the new bundle")
            with becoming(output) as part:
                with part.open("w", encoding="utf-8", newline="") as out:
                    found = _write_changes(first, second, out)
                note_written(part, work)
        clear(work)
    return found


def _write_changes(first: Plan, second: Plan, out: TextIO) -> Changes:
    pairs: Counter[tuple[str, str]] = Counter()
    unlikes = Unlikes(), Unlikes()
    columns = ("file", "old_verdict", "new_verdict", "old_score", "new_score", "old_reason", "new_reason")

    def changed() -> Iterator[list[object]]:
        for before, after in _both(first, second):
            pairs[before["verdict"], after["verdict"]] += 1
            for counted, row in zip(unlikes, (before, after), strict=True):
                counted.add(row["file"], row)
            if before["verdict"] != after["verdict"]:
                told = [each[name] for name in ("verdict", "score", "reason") for each in (before, after)]
                yield [before["file"], *told]

    write_rows(out, columns, changed())
    return Changes(pairs, *(counted.told() for counted in unlikes))


def changes_table(found: Changes) -> Table:
    """Lay out the pictures by the old bundle's verdict, down, and the new one's, across."""
    rates = [found.reject_rate(which) for which in (0, 1)]
    told = " -> ".join("-" if rate is None else f"{rate:.2%}" for rate in rates)
    table = Table(
        "old \\ new",
        *WORDS,
        title=f"{found.changed} of {found.pairs.total()} verdicts would change",
        caption=f"rejected of decided: {told}",
    )
    for old in WORDS:
        table.add_row(old, *(str(found.pairs[old, new]) for new in WORDS))
    return table


def _both(first: Plan, second: Plan) -> Iterator[tuple[Row, Row]]:
    rows = (chain.from_iterable(rows_of_shards(plan)) for plan in (first, second))
    return zip(*rows, strict=True)
