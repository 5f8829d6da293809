"""The start of a command: what its script calls, and Ctrl-C while it is imported."""

import signal
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from core.cli import heed_signals
from core.start import command
from tests.processes import interrupted

SCRIPTS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "scripts"
]


@pytest.mark.parametrize(
    "program",
    [
        "raise KeyboardInterrupt",
        "def work():\n    raise KeyboardInterrupt",
        "raise ImportError('initialization failed') from KeyboardInterrupt()",  # as a compiled module tells it
    ],
)
def test_an_interruption_is_one_line_and_130_while_it_is_imported_too(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "interrupted_module.py").write_text(program, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "interrupted_module", raising=False)
    with pytest.raises(SystemExit) as end:
        command("interrupted_module", "work")()
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


WAITING = "while True: signal.sigtimedwait([], 0.01)"
"""A signal that comes just before `pause` would be waited for."""


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", [WAITING, f"def work():\n    {WAITING}"])
def test_sigterm_and_a_terminal_that_is_closed_are_an_interruption(
    moment: str, by: signal.Signals, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    (tmp_path / "waiting_module.py").write_text(
        f"import pathlib, signal\npathlib.Path({str(ready)!r}).touch()\n{moment}", encoding="utf-8"
    )
    # Where the tests run by `nohup`, it is ignored, and children inherit that.
    program = f"import signal, sys; signal.signal({by:d}, signal.SIG_DFL); sys.path.insert(0, {str(tmp_path)!r}); "
    program += "from core.start import command; command('waiting_module', 'work')()"
    assert interrupted(program, "", ready.exists, by) == (130, "interrupted\n")


def test_what_is_ignored_stays_so(tmp_path: Path) -> None:
    (tmp_path / "deaf_module.py").write_text(
        "import os, signal\ndef work(): os.kill(os.getpid(), signal.SIGHUP)", encoding="utf-8"
    )
    program = f"import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); sys.path.insert(0, {str(tmp_path)!r})"
    program += "; from core.start import command; command('deaf_module', 'work')()"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_no_file_takes_the_place_of_a_closed_standard_stream(tmp_path: Path) -> None:
    # The outbox was standard error's file, and had at its end what a compiled module says there.
    kept = tmp_path / "kept"
    (tmp_path / "opening_module.py").write_text(
        "import os\n"
        "def work():\n"
        f"    with open({str(kept)!r}, 'w') as file:\n"
        "        os.write(2, b'said by a compiled module')\n"
        "        file.write('kept')\n",
        encoding="utf-8",
    )
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
    program += "from core.start import command; command('opening_module', 'work')()"
    for closed in ("2>&-", "<&- 2>&-", "<&- >&- 2>&-"):
        subprocess.run(["bash", "-c", f'"$0" -c "$1" {closed}', sys.executable, program], check=True)
        assert kept.read_text(encoding="utf-8") == "kept"


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_its_command(name: str) -> None:
    room, function = SCRIPTS[name].split(":")
    assert function == name.replace("-", "_")
    assert callable(getattr(import_module(room), function))


def test_before_a_command_is_imported_nothing_is_that_takes_time() -> None:
    rooms = ", ".join(sorted({place.split(":")[0] for place in SCRIPTS.values()}))
    program = f"import sys, {rooms}; print(sys.modules.keys() & {{'typer', 'numpy', 'pydantic'}})"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "set()\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_for_an_end_and_a_second_of_its_kind_ends_at_once(number: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    asked: list[signal.Signals] = []
    try:
        signal.signal(number, signal.SIG_DFL)  # `nohup` has it ignored, and so it would stay
        heed_signals(asked.append)
        signal.raise_signal(number)
        assert asked == [number]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert asked == [number]
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_a_hang_up_that_is_ignored_stays_so() -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        heed_signals(lambda _number: None)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
