"""The start of a command: what its script calls, and Ctrl-C while it is imported."""

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from core.start import command

SCRIPTS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "scripts"
]


@pytest.mark.parametrize("program", ["raise KeyboardInterrupt", "def work():\n    raise KeyboardInterrupt"])
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
