"""The console of an inspection: where to look, how far it is, and the result."""

import json
import sys
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from core.address import host_and_port
from core.errors import ConfigError, PwaeError, one_line
from core.stop import Stop
from runtime.monitoring.logfmt import log_to_stderr
from runtime.station.inspection import Inspection, Summary
from runtime.station.predictions import Predictions
from runtime.station.reviews import reviews_of
from runtime.station.sizes import warn_of_sizes
from runtime.view.pages import page
from runtime.view.past import Past
from runtime.view.web_page import serving

Opening = AbstractContextManager[Inspection]


def run(opening: Opening, stop: Stop) -> Summary:
    """Run what `opening` opens to its end, or until `stop` has a reason, with its page where it has one.

    Raises what that raises; PwaeError for a fault of the kind that a command would take for a wrong command line.
    """
    log_to_stderr()
    with ExitStack() as stack:
        inspection = stack.enter_context(opening)
        view, display = inspection.settings.view, inspection.display
        if view is not None and display is not None:
            evidence, shifts = inspection.settings.evidence, inspection.settings.shifts
            past = Past(evidence.folder, shifts) if evidence is not None else None
            reviews, judge = reviews_of(inspection), Predictions(inspection)
            stack.enter_context(serving(view, page(view, display, inspection.status, past, reviews, judge)))
        sys.stderr.write(_opening(inspection))
        warn_of_sizes(inspection.settings, inspection.models)
        stop.is_heeded = True
        try:
            return _watch(inspection, stop)
        except (ConfigError, OSError, ModuleNotFoundError) as error:
            raise PwaeError(f"the inspection was ended by a fault: {one_line(error)}") from error


def write(summary: Summary, file: Path) -> None:
    """Write the summary as JSON. Raises PwaeError where the file cannot be written."""
    try:
        file.write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise PwaeError(f"{file} cannot be written ({error.strerror}); all was judged and reported.") from error


def tell(summary: Summary) -> None:
    """Print the summary. Raises PwaeError where nobody takes it, as `write` does: no configuration is wrong."""
    table = Table(title="Inspection" if summary.stopped is None else f"Inspection, stopped by {summary.stopped}")
    table.add_column("")
    table.add_column("count", justify="right")
    for word, count in summary.verdicts.items():
        table.add_row(word, str(count))
    table.add_row("judged", str(summary.judged))
    table.add_row("unreadable pictures", str(summary.unreadable))
    table.add_row("images per second", f"{summary.images_per_s:.1f}")
    table.add_row("events to send", str(summary.judged + summary.waiting_before))
    table.add_row("events acknowledged", str(summary.acknowledged))
    table.add_row("events discarded (outbox full)", str(summary.discarded))
    table.add_row("events waiting in the outbox", str(summary.waiting))
    try:
        Console().print(table)
        sys.stdout.flush()
    except (PwaeError, SystemExit) as error:  # which ends a command whose reader went, without a word
        nobody = "standard output cannot be written: nobody reads it."
        why = nobody if isinstance(error, SystemExit) else error
        raise PwaeError(f"{why} All was judged and reported.") from error


def _opening(inspection: Inspection) -> str:
    topics = inspection.settings.topics
    host, port = inspection.settings.broker.address
    kind = "broker started here," if inspection.settings.broker.host is None else "broker"
    view = inspection.settings.view
    return (
        f"{kind} {host_and_port(host, port)}, topics {topics.prefix}/#\n"
        f"see the events: mosquitto_sub -h {host} -p {port} -q 1 -t '{topics.result('+')}'\n"
        + (f"see the cameras: {view.address}/\n" if view else "")
    )


def _watch(inspection: Inspection, stop: Stop) -> Summary:
    console = Console(stderr=True)
    columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    finite = inspection.frames_total is not None
    with Progress(*columns, console=console, disable=not (finite and console.is_terminal)) as bar:
        task = bar.add_task("judging", total=inspection.frames_total)
        inspection.on_progress = lambda parts: bar.advance(task, parts)
        return inspection.run(stop)
