"""What a person meets at the command line: help within a second, and one line with an exit code for what is wrong."""

import ast
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from archive.cli import rejudge
from assessment.cli import evaluate_model
from core.errors import exit_codes
from core.files import alone
from export.cli import export_engine
from fleet.cli import fleet
from gateway.cli import opcua_gateway
from runtime.cli import run_inspection
from tests.processes import interrupted
from tests.test_architecture import OURS, nodes
from training.cli import train_model
from training.many.cli import train_many

COMMANDS = {
    "train-model": train_model,
    "evaluate-model": evaluate_model,
    "export-engine": export_engine,
    "run-inspection": run_inspection,
    "train-many": train_many,
    "rejudge": rejudge,
    "fleet": fleet,
    "opcua-gateway": opcua_gateway,
}


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command in this process; give its exit code and what it wrote on stderr."""

    def run(name: str, *arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            COMMANDS[name]()
        return int(end.value.code or 0), capsys.readouterr().err

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_quick_and_names_the_exit_codes(name: str) -> None:
    entry = COMMANDS[name]
    program = f"import sys; sys.argv = ['{name}', '--help']; from {entry.__module__} import {entry.__name__} as e; e()"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert {int(code) for code in re.findall(r"^  (\d+)  ", shown.split("Exit codes:")[1], re.MULTILINE)} == {
        *exit_codes()
    }
    # Of a core: how long it has to wait for one says nothing of ours.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_its_version(name: str) -> None:
    # A process of its own: run-inspection ends it without Python's leave, for the sake of threads that hang.
    room = COMMANDS[name].__module__.partition(".")[0]  # whence its script has it
    program = f"from {room} import {COMMANDS[name].__name__} as command; command()"
    told = subprocess.run([sys.executable, "-c", program, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"p-wae {version('p-wae')}\n"


def test_heavy_packages_are_not_imported_for_help() -> None:
    modules = ", ".join(f"{entry.__module__}" for entry in COMMANDS.values())
    program = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "ray", "onnx", "onnxruntime", "cv2", "numpy", "sklearn", "matplotlib"} & set(loaded)


@pytest.fixture
def config(parts: Path, tmp_path: Path, make_training_config: Callable[..., dict[str, object]]) -> Path:
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(make_training_config(parts, tmp_path / "run")))
    return path


def change(config: Path, **changes: object) -> Path:
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | changes))
    return config


def one_line(error: str) -> bool:
    return error.startswith("error: ") and error.count("\n") == 1


def test_train_model_says_what_is_wrong(ended: Callable[..., tuple[int, str]], config: Path, tmp_path: Path) -> None:
    code, error = ended("train-model", tmp_path / "absent.yaml")
    assert (code, one_line(error)) == (2, True)
    code, error = ended("train-model", change(config, epocs=3))
    assert (code, one_line(error)) == (2, True)
    assert "unknown key `epocs`: did you mean `epochs`?" in error
    (tmp_path / "empty").mkdir()
    config.write_text(config.read_text().replace("epocs: 3", ""))
    code, error = ended("train-model", change(config, data=str(tmp_path / "empty")))
    assert (code, one_line(error)) == (3, True)
    assert "no pictures in it" in error


def test_too_few_good_pictures(ended: Callable[..., tuple[int, str]], config: Path) -> None:
    code, error = ended("train-model", change(config, false_reject_rate=0.01))
    assert (code, one_line(error)) == (3, True)


def test_what_would_be_trained_on_the_next_time_is_not_written_among_the_pictures(
    ended: Callable[..., tuple[int, str]], config: Path, parts: Path, tmp_path: Path
) -> None:
    good, taken = parts / "train" / "good", "would be taken for one of its pictures"
    for name, *arguments in (
        ("train-model", change(config, output=str(good / "run"))),
        ("train-model", "init", good, "--output", good / "my-part.yaml"),
        ("evaluate-model", tmp_path, parts, "--output", parts / "test" / "evaluation"),
        ("evaluate-model", "predict", tmp_path, good, "--overlays", good / "overlays"),
    ):
        code, error = ended(name, *arguments)
        assert (code, one_line(error), taken in error) == (2, True, True)
    assert len([*good.iterdir()]) == 40


def test_a_configuration_is_not_written_where_its_sheet_would_be(
    ended: Callable[..., tuple[int, str]], parts: Path, tmp_path: Path
) -> None:
    code, error = ended("train-model", "init", parts, "--output", tmp_path / "my-part.png")
    assert (code, one_line(error)) == (2, True)


@pytest.mark.parametrize("name", ["evaluate-model", "export-engine"])
def test_a_missing_or_damaged_checkpoint(ended: Callable[..., tuple[int, str]], tmp_path: Path, name: str) -> None:
    (tmp_path / "damaged").write_bytes(b"PK\x03\x04 no checkpoint")
    rest = ("x",) if name == "evaluate-model" else ("--output", tmp_path / "bundle")
    (tmp_path / "folder").mkdir()
    for checkpoint in ("absent", "damaged", "folder"):
        code, error = ended(name, tmp_path / checkpoint, *rest)
        assert code == 4
        assert error.splitlines()[-1].startswith(f"error: {tmp_path / checkpoint}: ")


def test_paths_in_commands_that_messages_give_are_quoted() -> None:
    """What a person copies must run, where a folder's name has spaces too."""
    command = re.compile(rf"(?<![\w-])({'|'.join(COMMANDS)}) [^`]*$")
    bare = []
    for module in OURS.values():
        for text in nodes(module):
            said = ""
            for piece in text.values if isinstance(text, ast.JoinedStr) else ():
                if isinstance(piece, ast.Constant):
                    said += str(piece.value)
                elif command.search(said) and "quote(" not in ast.unparse(piece) and "join(" not in ast.unparse(piece):
                    bare.append(f"{module}:{piece.lineno}")
    assert not bare


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_interrupted_ends_with_one_line_and_130(
    config: Path, tmp_path: Path, by: signal.Signals
) -> None:
    code, error = interrupted(
        "from training import train_model; train_model()",
        str(change(config, epochs=100_000)),
        (tmp_path / "run" / "resume" / "decoder-1.ckpt").exists,
        by,
    )
    assert code == 130
    assert error.splitlines()[-1] == "interrupted"
    assert error.splitlines()[-2].startswith("to go on: train-model ")
    assert error.splitlines()[-2].endswith(" --resume")
    assert "Traceback" not in error


def test_a_checkpoint_that_stands_is_not_overwritten_silently(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "run" / "checkpoint"
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.write_text("of last week")
    monkeypatch.setattr(sys, "argv", ["train-model", str(config)])
    with pytest.raises(SystemExit) as end:
        train_model()
    assert end.value.code == 2
    assert "exists already and is kept; set another `output`, or give --replace" in capsys.readouterr().err
    assert checkpoint.read_text() == "of last week"


def test_a_training_that_was_interrupted_is_not_begun_again_silently(
    config: Path, tmp_path: Path, ended: Callable[..., tuple[int, str]]
) -> None:
    point = tmp_path / "run" / "resume" / "decoder-1.ckpt"
    point.parent.mkdir(parents=True)
    point.write_bytes(b"of hours")
    code, error = ended("train-model", config)
    assert code == 2
    assert "resume: keeps a training that was interrupted; give --resume to go on with it, or --replace to" in error
    assert point.read_bytes() == b"of hours"
    with alone(point.parents[1]):
        assert "another process is at work there" in ended("train-model", config)[1]


def test_a_folder_is_no_file_to_write_a_configuration_to(
    parts: Path, ended: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    for folder, file in ((".", f"{parts.name}.yaml"), ("configs", f"configs/{parts.name}.yaml")):
        told = f"error: {folder}: is a folder; name the file to write, such as {file}.\n"
        assert ended("train-model", "init", parts, "--output", folder) == (2, told)


def test_from_pictures_to_a_bundle_by_the_commands_that_each_names_as_the_next(
    config: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            COMMANDS[name]()
        assert not end.value.code
        return capsys.readouterr().out

    def next_of(told: str) -> list[str]:
        return shlex.split(told.splitlines()[-1].removeprefix("next: "))

    monkeypatch.chdir(tmp_path)
    trained = run("train-model", change(config, name="4711/3 Größe"))
    assert f"look at: {tmp_path / 'run' / 'suspects.png'}" in trained
    again = trained.splitlines()[-2].partition("Then remove it, and: ")[2]
    assert run(*shlex.split(again)) == trained, "what stands is replaced, as is told"
    evaluated = run(*next_of(trained))
    assert "AUROC" in evaluated
    assert (tmp_path / "evaluation" / "report.html").stat().st_size > 10_000
    set_again = run("evaluate-model", "set-threshold", tmp_path / "run" / "checkpoint", "--false-reject-rate", 0.3)
    assert next_of(set_again) == next_of(evaluated)
    exported = run(*next_of(evaluated))
    assert "sha256" in exported
    (bundle,) = tmp_path.rglob("*.bundle")
    assert bundle == tmp_path / "4711-3-Grosse.bundle", "beside the others, under a name that `cmd/reload` takes"
    assert (bundle / "bundle.json").exists()
    set_there = run("evaluate-model", "set-threshold", bundle, "--false-reject-rate", 0.2)
    assert next_of(exported)[:2] == ["run-inspection", "doctor"]
    assert next_of(set_there)[0] == "run-inspection"


def test_onnx_runtime_tells_nobody_what_is_inspected(tmp_path: Path) -> None:
    code = "import core, onnxruntime, runtime.inference.onnx_backend; onnxruntime.SessionOptions()"
    subprocess.run([sys.executable, "-c", code], check=True, env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    assert not list(tmp_path.rglob("*"))
