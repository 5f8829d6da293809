"""Many part numbers: each trained by itself, side by side here or on a Ray cluster, and told of in one table."""

import os
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from rich.table import Column, Table

from core.cluster import cores, failed, ray_cluster
from core.config import Settings, expanded, load_settings
from core.csv_table import write_rows
from core.datasets.dataset import names
from core.errors import ConfigError
from core.futures import results
from training.many.part_run import TRIES, Outcome, Part, run_part
from training.settings import TrainingSettings

COLUMNS = ("part", "good", "defective", "AUROC", "false rejects", "misses", "minutes", "tries", "report or error")

Pattern = Annotated[str, AfterValidator(lambda text: text and str(expanded(Path(text))))]
"""Of paths; an empty one stays so."""


class ManySettings(Settings):
    """What `train-many` reads."""

    parts: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    """Configurations of `train-model`, one a part number: files, or patterns such as `parts/*.yaml`, from this file,
    which is none of them."""


def find_parts(file: Path) -> list[Part]:
    """Read every part's configuration. Raises ConfigError where one cannot be used, or two are the same part."""
    patterns = load_settings(file, ManySettings).parts
    found: dict[Path, None] = {}
    for pattern in patterns:
        matched = [file.parent / name for name in sorted(glob(pattern, root_dir=file.parent, recursive=True))]
        configs = [config for config in matched if not file.samefile(config)]
        if not configs:
            raise ConfigError(f"{file}: `parts`: there is no {pattern or '(empty)'} in {file.parent.resolve()}.")
        found |= dict.fromkeys(configs)
    parts: list[Part] = []
    for config in found:
        settings = load_settings(config, TrainingSettings)
        part = Part(settings.name, config.resolve(), names(settings.data), Path(os.path.realpath(settings.output)))
        for other in parts:
            if part.name == other.name or part.output == other.output:
                raise ConfigError(f"{config} and {other.config}: the same `name` or `output`; give each part its own.")
        parts.append(part)
    return parts


def run_here(parts: Sequence[Part], cpus: int) -> Generator[Outcome, None, None]:
    """Train as many parts side by side as there are `cpus` each; give the outcomes as they come.

    Where nobody asks for more, threads still wait for trainings that go on: those end with this process.
    """
    pool = ThreadPoolExecutor(max(1, cores() // cpus))
    try:
        yield from results([pool.submit(run_part, part, cpus) for part in parts])
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def run_on_ray(parts: Sequence[Part], cpus: int, gpus: float) -> Generator[Outcome, None, None]:
    """Train each part as a task of Ray with `cpus` and a share of a GPU; as `run_here`.

    A task that is lost with its machine is started again, and resumes. Raises ConfigError where Ray cannot be used.
    """
    here = Path.cwd()

    def task(part: Part) -> Outcome:
        os.chdir(here)  # a configuration's paths are from where the command was given
        return run_part(part, cpus)

    with ray_cluster(cores(), gpus) as ray:
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=TRIES)(task)
        names = {remote.options(name=part.name).remote(part): part.name for part in parts}
        waiting = list(names)
        while waiting:
            (done,), waiting = ray.wait(waiting)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                fault = failed(error)
                yield Outcome(names[done], str(fault), fault.exit_code)


def outcomes_table(outcomes: Sequence[Outcome]) -> Table:
    """Lay out the parts by name, without the reports' paths, which would leave the figures no room."""
    bad = sum(bool(each.error) for each in outcomes)
    heads = (*COLUMNS[:-1], *(["error"] if bad else []))
    table = Table(*(Column(head, overflow="fold") for head in heads), title=f"{len(outcomes)} parts, {bad} failed")
    for each in sorted(outcomes, key=lambda one: one.name):
        table.add_row(*_row(each)[:-1], *([each.error] if bad else []))
    return table


def write_table(outcomes: Sequence[Outcome], file: Path) -> None:
    """Write the parts as CSV, with the path of each report."""
    with file.open("w", encoding="utf-8", newline="") as out:
        write_rows(out, COLUMNS, (_row(each) for each in sorted(outcomes, key=lambda one: one.name)))


def _row(outcome: Outcome) -> list[str]:
    metrics = outcome.metrics or {}

    def figure(name: str, form: str) -> str:
        value = metrics.get(name)
        return "-" if value is None else format(value, form)

    return [
        outcome.name,
        *(figure(name, "d") for name in ("good", "defective")),
        figure("auroc", ".3f"),
        *(figure(name, ".1%") for name in ("false_reject_rate", "miss_rate")),
        f"{outcome.minutes:.1f}",
        str(outcome.tries),
        outcome.error or outcome.report,
    ]
