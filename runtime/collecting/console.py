"""The console of a collection: a live count while it runs, and the result."""

import sys
from contextlib import ExitStack
from pathlib import Path
from shlex import quote

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from core.errors import DataError
from core.stop import Stop
from runtime.collecting.collection import Collection, collecting
from runtime.collecting.page import page
from runtime.monitoring.logfmt import log_to_stderr
from runtime.settings import InspectionSettings
from runtime.view.web_page import require_packages, serving

TURN_S = 0.1
"""How often the count is told and a stop is noticed."""


def collect(settings: InspectionSettings, pictures: int, output: Path, stop: Stop) -> None:
    """Film `pictures` pictures of each stream into `output`, until they are there or `stop` has a reason.

    Tells the count on stderr, and on the page where there is one. Raises DataError where not one could be kept, and
    what `collecting` raises; what was kept stays.
    """
    log_to_stderr()
    if settings.view is not None:
        require_packages()
    with ExitStack() as stack:
        collection = stack.enter_context(collecting(settings, pictures, output))
        if (view := settings.view) is not None:
            stack.enter_context(serving(view, page(view, settings.station, collection)))
            sys.stderr.write(f"see the pictures: {view.address}/\n")
        try:
            stop.is_heeded = True
            _watch(collection, stop)
        finally:
            told = in_words(collection)
            if collection.kept:
                sys.stderr.write(f"{told}\nkept in {output}: {collection.kept} pictures\n")
    if not collection.kept:
        output_is_empty = "no camera gave a frame" if not collection.left_out else told
        raise DataError(f"no picture could be kept: {output_is_empty}; look at light, focus, triggers and `roi`.")
    if collection.kept < collection.wanted:
        why = f"stopped by {stop.reason}" if stop.reason else "the cameras gave no more"
        sys.stderr.write(f"fewer than the {collection.wanted} that were asked for: {why}\n")
    sys.stdout.write(f"next: train-model init {quote(str(output))}\n")


def in_words(collection: Collection) -> str:
    """Say how many pictures there are of each stream, and how many of its frames were left out and why."""
    lines = []
    for name, stream in collection.streams.items():
        left_out = ", ".join(f"{count} {why}" for why, count in sorted(stream.left_out.copy().items()))
        lines.append(f"{name}: {stream.kept} of {stream.wanted} pictures; left out: {left_out or 'none'}")
    return "\n".join(lines)


def _watch(collection: Collection, stop: Stop) -> None:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[out]}"))
    tenths = 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        tasks = {name: bar.add_task(name, total=each.wanted, out="") for name, each in collection.streams.items()}
        is_over = False
        while not is_over and not stop.reason:
            is_over = collection.is_over(TURN_S)
            for name, stream in collection.streams.items():
                out = f"{stream.left_out.copy().total()} left out"
                bar.update(tasks[name], completed=stream.kept, out=out)
            if not console.is_terminal and tenths < 10 * collection.kept // collection.wanted:
                tenths = 10 * collection.kept // collection.wanted
                console.print("; ".join(in_words(collection).splitlines()), soft_wrap=True, highlight=False)
