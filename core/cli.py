"""What the commands share: one line and an exit code for what a person can mend, and a default subcommand."""

import errno
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer
from typer.core import TyperGroup

from core.errors import BackendError, ConfigError, PwaeError, exit_codes, one_line, shortened, shown
from core.start import INTERRUPTED, is_interruption
from core.stop import Stop

if TYPE_CHECKING:
    from core.config import SettingsT

# torch reads it when it is imported. Threads that spin at barriers starve one another where cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# matplotlib does, too, and refuses a notebook's, which commands that are started there inherit. Ours draw into files.
os.environ["MPLBACKEND"] = "agg"

EXTRAS = {
    **dict.fromkeys(("torch", "lightning", "onnx", "onnxscript", "matplotlib"), "train"),
    "cryptography": "sign",
    "onnxruntime": "cpu",
    "ray": "ray",
    "asyncua": "opcua",
    "pyarrow": "parquet",
}
"""Which part of the installation brings a package that not every machine needs."""
CELLS = "elpv:mono or elpv:poly"
"""Pictures that a package brings: the solar cells of the demo."""


class _Unfailing(io.FileIO):
    """Standard error whose reader went, or whose disk is full: what is said there is lost, and the work goes on."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


class _Output(io.FileIO):
    """Standard output: that it cannot be written is told once, and what is said after that is lost."""

    _is_lost = False

    def write(self, data: Any) -> int:
        if self._is_lost:
            return len(data)
        try:
            return super().write(data)
        except OSError as error:
            self._is_lost = True
            if isinstance(error, BrokenPipeError):  # who read it has seen enough
                raise SystemExit(PwaeError.exit_code) from error
            why = f"standard output cannot be written ({error.strerror}); free its disk, or send it elsewhere."
            raise PwaeError(why) from error


def _prepare_streams() -> None:
    """Let what is said be told whole, or not at all, whatever standard output and error are."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed by whoever started this: what is said there goes nowhere
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
    if (own := sys.__stderr__) is not None and sys.stderr is own:
        sys.stderr = _written_by(_Unfailing, own)
    if (own := sys.__stdout__) is not None and sys.stdout is own:
        sys.stdout = _written_by(_Output, own)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file's name may be no text, or none of this terminal's
            stream.reconfigure(errors="backslashreplace")


def _written_by(raw: type[io.FileIO], own: TextIO) -> TextIO:
    """Give what writes to the same place as a standard stream of Python's `own`, by `raw`."""
    own.flush()
    is_by_line = getattr(own, "line_buffering", True) or getattr(own, "write_through", False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw(own.fileno(), "w", closefd=False)), own.encoding, line_buffering=is_by_line
    )


def run(app: Callable[..., Any]) -> None:
    """Run a typer app; a PwaeError becomes one line on stderr and its exit code, never a traceback."""
    _prepare_streams()
    if not os.environ.get("COLUMNS", "").strip("0"):  # a table that is no column wide would not be told
        os.environ.pop("COLUMNS", None)
    # A file's name in a script that the figures' font has not is drawn as boxes.
    warnings.filterwarnings("ignore", "Glyph .* missing from")
    try:
        _require_arguments(sys.argv[1:])
        _interruptible(app)
    except PwaeError as error:
        sys.stderr.write(f"error: {shown(error)}\n")
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        sys.stderr.write(f"error: this needs the package {package}; pip install '.[{EXTRAS[package]}]'.\n")
        sys.exit(ConfigError.exit_code)
    except OSError as error:  # a full disk, a path that cannot be written: nothing of ours to report
        if error.strerror is None or isinstance(error, BrokenPipeError):
            raise
        if _is_out_of_memory(error):
            _end_out_of_memory(error)
        sys.stderr.write(f"error: {shown(_why(error))}\n")
        sys.exit(ConfigError.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        _end_out_of_memory(error)


def _is_out_of_memory(error: Exception) -> bool:
    """Say whether `error` tells of too little memory: torch and OpenCV do it each in errors of their own."""
    is_named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch's, of a GPU
    return is_named or any(words in str(error).lower() for words in ("allocate memory", "insufficient memory"))


def _end_out_of_memory(error: Exception) -> NoReturn:
    less = "end what else uses it (top, nvidia-smi), or ask for less: fewer pictures, a lower `batch_size`"
    sys.stderr.write(f"error: not enough memory ({shown(shortened(one_line(error)))}); {less}.\n")
    sys.exit(BackendError.exit_code)


def end_at_once(code: int) -> NoReturn:
    """End the process, whatever its threads still wait for."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _why(error: OSError) -> str:
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return "too many open files; allow more (`ulimit -n`, systemd's LimitNOFILE)."
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "a file"
    return f"{where}: {error.strerror}; check the path, its permissions and the free space."


def _require_arguments(arguments: list[str]) -> None:
    """Refuse an empty argument: as a path it would be the folder that one stands in."""
    if "" in arguments:
        raise ConfigError(f"argument {arguments.index('') + 1} is empty; is a variable of the shell not set?")


def _interruptible(app: Callable[..., Any]) -> None:
    """Run `app`, with Ctrl-C as a KeyboardInterrupt: typer takes it for a silent end, others for a fault."""
    try:
        app()
        sys.stdout.flush()
    except (Exception, SystemExit) as end:
        if getattr(end, "code", None) == INTERRUPTED or is_interruption(end):
            raise KeyboardInterrupt from end
        if isinstance(end, SystemExit):
            sys.stdout.flush()
        raise


class DefaultGroup(TyperGroup):
    """Subcommands of which the first is meant where none is named: `export-engine X` is `export-engine build X`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Prepend the first subcommand unless the first argument names one or asks for help."""
        if args and args[0] not in {*self.commands, "--help", "--version"}:
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the help of the command that is meant where none is named, the list of them all, and the exit codes."""
        default = next(iter(self.commands.values()))
        default.format_help(type(ctx)(default, info_name=ctx.info_name), formatter)
        self.format_commands(ctx, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in exit_codes().items()])


def load(config: Path, schema: "type[SettingsT]") -> "SettingsT":
    """Read the configuration that a command is given, as `load_settings` does, which `--help` does not wait for."""
    from core.config import load_settings

    return load_settings(config, schema)


Ray = Annotated[bool, typer.Option("--ray", help="On the Ray cluster that RAY_ADDRESS names, or one on this machine.")]
Gpus = Annotated[float, typer.Option(min=0, help="Share of a GPU for each process, with --ray: 0.25 puts 4 on one.")]


def require_ray(ray: bool, gpus: float) -> None:
    """Raises ConfigError where shares of GPUs are asked for, and not the one who gives them out."""
    if gpus and not ray:
        raise ConfigError("--gpus needs --ray, which shares GPUs out; without it every process takes what is here.")


def app(help_text: str) -> typer.Typer:
    """Build a typer app for one command: `--version`, no shell completion options, tracebacks left to `run`."""
    application = typer.Typer(
        help=help_text,
        cls=DefaultGroup,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    application.callback()(_common)
    return application


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"p-wae {version('p-wae')}")
        raise typer.Exit


def _common(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what every command takes."""


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Let signals ask for an end; before that is heeded they interrupt: nothing was done yet that is to be told.

    SIGTERM, or a terminal that is closed, is an end in order all the same; Ctrl-C raises KeyboardInterrupt in the end.
    To be entered before what takes time to import: until then a signal kills.
    """
    stop = Stop()

    def ask(number: signal.Signals) -> None:
        stop.reason = number.name
        if not stop.is_heeded:
            raise KeyboardInterrupt

    heed_signals(ask)
    try:
        yield stop
    except BaseException as error:
        if stop.is_heeded or stop.reason in (None, signal.SIGINT.name) or not is_interruption(error):
            raise
        sys.stderr.write(f"stopped by {stop.reason} before it had begun\n")
    if stop.reason == signal.SIGINT.name:
        raise KeyboardInterrupt


def heed_signals(ask: Callable[[signal.Signals], None]) -> None:
    """Let the first Ctrl-C, SIGTERM or hang-up of the terminal call `ask`; a second of the same kind ends at once.

    `ask` is called in the main thread, between any two of its steps.
    """

    def first(number: int, _frame: object) -> None:
        signal.signal(number, signal.default_int_handler)
        ask(signal.Signals(number))

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:  # as of `nohup`
            signal.signal(number, first)
