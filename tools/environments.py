"""Each extra in a fresh environment, and each printed remedy carried out there: a line of JSON a result, as it comes.

    python tools/environments.py [NAME...] | tee benchmarks/results/environments.jsonl

Needs the package index. `cuda` brings 2 GB; `tensorrt` goes as far as NVIDIA's host and the machine let it. Exit code 1
where something else came out than should.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILDS = "from runtime.inference.onnx_runtime import require_one_build as r; print(r())"
CUDA = "import onnxruntime as o; o.preload_dlls(); print(o.__version__, o.get_available_providers())"
RTX = "import tensorrt_rtx_bindings as t; print(t.__version__, t.Builder(t.Logger()) is not None)"
TENSORRT = "import tensorrt as t, pycuda; print(t.__version__, pycuda.VERSION_TEXT)"
REMEDY = re.compile(r"(pip uninstall -y [\w -]+), then (pip install '[^']+')")


@dataclass(frozen=True)
class Case:
    """What is installed, in turn, what is asked then, and what the answer holds."""

    installed: Sequence[Sequence[str]]
    question: str
    answer: str
    """A part of it; of what may fail here, empty."""
    is_remedied: bool = False
    """Whether the answer names a remedy, which is carried out, and the question asked again."""


CASES = {
    "cpu": Case([["install", ".[cpu]"]], BUILDS, "CPU)"),
    "cpu, then cuda's build over it": Case(
        [["install", ".[cpu]"], ["install", "--no-deps", "onnxruntime-gpu"]], BUILDS, "lie over each other", True
    ),
    "remains of a build": Case(
        [["install", ".[cpu]"], ["install", "--no-deps", "onnxruntime-gpu"], ["uninstall", "-y", "onnxruntime"]],
        BUILDS,
        "pip uninstall -y",
        True,
    ),
    "none": Case([["install", "."]], BUILDS, "no ONNX Runtime here; pip install '.[cpu]'"),
    "view": Case([["install", ".[cpu,view]"]], "import runtime.view.web_page, pynvml; print('opens')", "opens"),
    "sign": Case(
        [["install", ".[cpu,sign]"]], "import runtime.bundles.signature, cryptography as c; print('opens')", "opens"
    ),
    "trial": Case([["install", ".[cpu,trial]"]], "import amqtt; print('opens')", "opens"),
    "genicam": Case([["install", ".[cpu,genicam]"]], "import viva_genicam; print('opens')", "opens"),
    "rtx": Case([["install", ".[cpu,rtx]"]], RTX, "True"),
    "cuda": Case([["install", ".[cuda]"]], CUDA, "CUDAExecutionProvider"),
    "tensorrt": Case([["install", ".[cpu]"], ["install", ".[tensorrt]"]], TENSORRT, ""),
}


class Environment:
    """A fresh one, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Make it."""
        self._python = str(folder / "bin" / "python")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)

    def pip(self, *arguments: str) -> tuple[int, str]:
        """Call it, in the project's folder and with its constraints; give its code and its last line."""
        command = [self._python, "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
        if arguments[0] == "install":
            command += ["-c", "constraints.txt"]
        return self._run(command)

    def ask(self, question: str) -> tuple[int, str]:
        """Run Python code; give its code and its last line."""
        return self._run([self._python, "-c", question])

    def _run(self, command: Sequence[str]) -> tuple[int, str]:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).strip().splitlines() or [""]
        errors = [line for line in lines if "ERROR" in line or "Error: " in line]
        return done.returncode, (errors or lines)[-1][:400]


def look(name: str, case: Case) -> bool:
    """Tell what came out; whether that is what should."""
    with tempfile.TemporaryDirectory() as folder:
        environment, started_s = Environment(Path(folder)), time.monotonic()
        installed = [environment.pip(*arguments) for arguments in case.installed]
        code, answer = environment.ask(case.question)
        told = {"environment": name, "pip": [code for code, _ in installed], "answer": answer}
        if problems := [line for code, line in installed if code]:
            told["problems"] = problems
        is_right = case.answer in answer
        if case.is_remedied:
            remedy = REMEDY.search(answer)
            steps = [step.replace("'", "").split()[1:] for step in remedy.groups()] if remedy else []
            told["remedy"] = [environment.pip(*step)[0] for step in steps]
            code, told["then"] = environment.ask(case.question)
            is_right = is_right and code == 0 and bool(steps)
        print(json.dumps({**told, "ok": is_right, "took_s": round(time.monotonic() - started_s)}), flush=True)
    return is_right


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(CASES)
    if unknown:
        sys.exit(f"no such environment: {', '.join(sorted(unknown))}; there are {'; '.join(CASES)}")
    results = [look(name, CASES[name]) for name in sys.argv[1:] or CASES]
    sys.exit(0 if all(results) else 1)
