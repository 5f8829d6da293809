import pytest

from core.cli import run


def test_a_package_that_is_not_installed_is_one_line_with_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")

    with pytest.raises(SystemExit) as end:
        run(command)
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: this needs the package torch; pip install 'p-wae[train]'.\n"


def test_a_module_that_is_missing_by_our_own_fault_is_not_hidden() -> None:
    def command() -> None:
        raise ModuleNotFoundError("No module named 'core.nowhere'", name="core.nowhere")

    with pytest.raises(ModuleNotFoundError):
        run(command)
