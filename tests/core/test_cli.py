import errno
import os
import subprocess
import sys

import cv2
import pytest

from core.cli import app, run
from core.errors import BackendError, DataError


def test_a_package_that_is_not_installed_is_one_line_with_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")

    with pytest.raises(SystemExit) as end:
        run(command)
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: this needs the package torch; pip install '.[train]'.\n"


def test_a_module_that_is_missing_by_our_own_fault_is_not_hidden() -> None:
    def command() -> None:
        raise ModuleNotFoundError("No module named 'core.nowhere'", name="core.nowhere")

    with pytest.raises(ModuleNotFoundError):
        run(command)


@pytest.mark.parametrize("is_taken_for_a_fault", [False, True])
def test_an_interruption_is_one_line_and_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_taken_for_a_fault: bool
) -> None:
    commands = app("Help.")

    @commands.command()
    def work() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interruption:
            if is_taken_for_a_fault:
                raise BackendError("it does not load") from interruption
            raise

    monkeypatch.setattr(sys, "argv", ["command", "work"])
    with pytest.raises(SystemExit) as end:
        run(commands)
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_other_exit_codes_pass(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["command", "--no-such-option"])
    commands = app("Help.")
    commands.command()(lambda: None)
    with pytest.raises(SystemExit) as end:
        run(commands)
    assert end.value.code == 2
    assert "interrupted" not in capsys.readouterr().err


def test_an_argument_that_is_empty_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["command", "init", ""])
    with pytest.raises(SystemExit) as end:
        run(lambda: None)
    assert end.value.code == 2
    assert "argument 2 is empty" in capsys.readouterr().err


@pytest.mark.parametrize("error", [DataError("a\n\x1b[31m.png: no"), OSError(2, "no", b"a\n\x1b[31m.png")])
def test_a_name_with_control_characters_is_told_in_one_line(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise error

    with pytest.raises(SystemExit):
        run(command)
    told = capsys.readouterr().err
    assert told.startswith(r"error: a\n\x1b[31m.png: no")
    assert told.count("\n") == 1


def test_too_many_open_files_are_told_with_what_allows_more(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise OSError(errno.EMFILE, "Too many open files", "module.py")

    with pytest.raises(SystemExit) as end:
        run(command)
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: too many open files; allow more (`ulimit -n`, systemd's LimitNOFILE).\n"


class OutOfMemoryError(RuntimeError):
    """As torch has it."""


@pytest.mark.parametrize("kind", [MemoryError, OutOfMemoryError])
def test_a_lack_of_memory_is_one_line(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise kind("Unable to allocate\n18.6 GiB")

    with pytest.raises(SystemExit) as end:
        run(command)
    assert end.value.code == 6
    assert capsys.readouterr().err.startswith("error: not enough memory (Unable to allocate 18.6 GiB); end what else")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 40 bytes."),
        cv2.error("(-4:Insufficient memory) Failed to allocate 40 bytes"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
)
def test_so_is_that_of_a_library_that_has_errors_of_its_own(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        run(command)
    assert end.value.code == 6
    assert "not enough memory" in capsys.readouterr().err


def test_a_fault_of_ours_is_not_hidden() -> None:
    def command() -> None:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        run(command)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_what_is_said_to_a_closed_stream_goes_nowhere(closed: str) -> None:
    program = "from core import cli; cli.run(lambda: (print('said'), __import__('sys').stderr.write('told')))"
    done = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {closed}', sys.executable, program], capture_output=True, text=True, check=False
    )
    said = ("" if closed.startswith(">") else "said\n", "" if "2>" in closed else "told")
    assert (done.returncode, done.stdout, done.stderr) == (0, *said)


@pytest.mark.parametrize("standard_error", ["2> /dev/full", "2> >(true)", "2< /dev/null"])
def test_work_goes_on_where_what_is_said_of_it_cannot_be_written(standard_error: str) -> None:
    """A station whose log is on a full disk judges on."""
    program = (
        "from core import cli; import sys;"
        "cli.run(lambda: ([print('x' * 999, file=sys.stderr) for _ in range(99)], print('done')))"
    )
    done = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {standard_error}', sys.executable, program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize(
    "said",
    ["print('x' * 99999, flush=True)", "print('x')", "__import__('typer').echo('x')"],
    ids=["more than a buffer", "at the end", "a line"],
)
@pytest.mark.parametrize("way", ["{}", "({}, sys.exit(0))"])
def test_output_on_a_full_disk_is_told_in_one_line_and_is_no_wrong_configuration(said: str, way: str) -> None:
    program = f"from core import cli; import sys; cli.run(lambda: {way.format(said)})"
    command = ["bash", "-c", 'unset PYTHONUNBUFFERED; "$0" -c "$1" > /dev/full', sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    why = "standard output cannot be written (No space left on device); free its disk, or send it elsewhere."
    assert (done.returncode, done.stderr) == (1, f"error: {why}\n")


@pytest.mark.parametrize("said", ["[typer.echo('x' * 999) for _ in range(999)]", "print('x' * 999)"])
def test_a_reader_that_has_seen_enough_ends_a_command_without_a_word(said: str) -> None:
    program = f"from core import cli; import typer; cli.run(lambda: {said})"
    command = ["bash", "-c", 'exec > >(true); wait $!; "$0" -c "$1"', sys.executable, program]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


def test_tables_are_told_where_the_terminal_says_that_it_has_no_columns() -> None:
    program = "from core import cli; from rich.console import Console; cli.run(lambda: Console().print('told'))"
    environment = {**os.environ, "COLUMNS": "0"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "told\n"


def test_a_command_that_a_notebook_starts_draws_into_files() -> None:
    environment = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # as Jupyter sets it
    program = "import core.cli, matplotlib; print(matplotlib.get_backend())"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "agg\n", done.stderr
