import sys

import pytest

from core.cli import app, run


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


def test_an_interruption_is_one_line_and_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = app("Help.")

    @commands.command()
    def work() -> None:
        raise KeyboardInterrupt

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
