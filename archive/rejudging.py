"""Rejudging: every picture of an archive through one bundle, so that a stop costs the shards under way at most."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from archive.ending import clear, is_written, require_new
from archive.plan import SHARD_PICTURES, Plan, make_plan
from archive.results import require_writable, rows_of_shards, write_results
from archive.workers import judged_here, judged_on_ray
from core.files import alone
from core.pictures.unlike import Unlikes
from core.progress import Countdown, console

MOST_REASONS = 10
"""That are told of pictures that were not decided."""


@dataclass(frozen=True)
class Crew:
    """Who judges."""

    workers: int
    on_ray: bool = False
    gpus: float = 0.0
    """Share of a GPU for each worker, on Ray alone."""


@dataclass(frozen=True)
class Rejudged:
    """The result for an archive."""

    verdicts: Counter[str]
    undecided: tuple[str, ...]
    """Why pictures were not decided, the first few."""
    warning: str
    """What is said of pictures that differ from all that trained; empty where there are none."""


def rejudge(
    bundle: Path, places: Sequence[Path], output: Path, crew: Crew, shard_pictures: int = SHARD_PICTURES
) -> Rejudged:
    """Judge the pictures in `places` and write `output`; finished shards wait beside it until all are there.

    Killed after it stands, the same call tells of it again and clears up. Raises what `make_plan`, `judged_here` and
    `judged_on_ray` do, ConfigError where another `output` exists.
    """
    work = output.with_name(f"{output.name}.work")
    require_new(output, work)
    require_writable(output)
    with alone(work):
        plan = make_plan(bundle, places, work, shard_pictures)
        if not is_written(output, work):
            judge_missing(plan, crew, "judging")
            write_results(plan, output)
        rejudged = _counted(plan)
        clear(work)
    return rejudged


def judge_missing(plan: Plan, crew: Crew, name: str) -> None:
    """Judge the shards of which there are no rows yet, and keep theirs."""
    missing = len(plan.missing())
    if missing < plan.shards:
        console.print(f"{plan.folder}: {plan.shards - missing} of {plan.shards} shards are there; pictures that came")
        console.print("since the first start are not in this run.")
    if not missing:
        return
    workers = min(crew.workers, missing)
    judged = judged_on_ray(plan, workers, crew.gpus) if crew.on_ray else judged_here(plan, workers)
    with closing(judged), Countdown(name, missing) as countdown:
        for number, rows in judged:
            plan.keep(number, rows)
            countdown.advance()


def _counted(plan: Plan) -> Rejudged:
    """Count the verdicts of all rows; give why the first few were not decided, and what is warned of."""
    verdicts: Counter[str] = Counter()
    undecided: list[str] = []
    unlikes = Unlikes()
    for rows in rows_of_shards(plan):
        verdicts.update(row["verdict"] for row in rows)
        undecided += [row["reason"] for row in rows if row["reason"]][: MOST_REASONS - len(undecided)]
        for row in rows:
            unlikes.add(row["file"], row)
    return Rejudged(verdicts, tuple(undecided), unlikes.told())
