"""Each extra in a fresh environment, and each printed remedy carried out there: a line of JSON a result, as it comes.

    python tools/environments.py [NAME...] | tee benchmarks/results/environments.jsonl

Needs the package index. `cuda` brings 2 GB, `train` and `ray` 1 GB; `tensorrt` goes as far as NVIDIA's host and the
machine let it. Exit code 1 where something else came out than should.
"""

import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REMEDY = re.compile(r"(?:(pip uninstall -y [\w -]+), then )?(pip install '[^']+')")
BUILDS = "from runtime.inference.onnx_runtime import require_one_build as r; print(r())"
CUDA = "import onnxruntime as o; o.preload_dlls(); print(o.__version__, o.get_available_providers())"
IMPORTED = "from core.cli import run; from importlib import import_module as i; run(lambda: print(i({!r}).__name__))"
SIGNED = "from pathlib import Path as P; from runtime.bundles.signature import is_signed as s; s(b'', b'', P('no.pub'))"
LOGGED = (
    "from training.fitting.members import require_trainable as r; from training.settings import TrainingSettings as s; "
    "r(s(name='a', data='b', output='c', tensorboard=True)); import tensorboard; print('opens')"
)
CELLS = "from core.datasets.dataset import training_samples as t; print(type(t('elpv:mono')))"
PARQUET = "from pathlib import Path as P; from archive.results import writer_of as w; print(w(P('a.parquet')))"
TENSORRT = "import tensorrt as t, pycuda; print(t.__version__, pycuda.VERSION_TEXT)"


def install(package: str, *how: str) -> Sequence[str]:
    """What pip is asked for, in the versions that were tested."""
    return ("install", *how, package, "-c", "constraints.txt")


CPU, CUDA_OVER_IT = install(".[cpu]"), install("onnxruntime-gpu", "--no-deps")


@dataclass(frozen=True)
class Case:
    """What is installed, in turn, what is asked then, and what the answer holds."""

    installed: Sequence[Sequence[str]]
    question: str
    answer: str
    """A part of it; of what may fail here, empty."""
    then: str = ""
    """A part of the second answer, once the remedy that the first one names was carried out, word for word."""


CASES = {
    "none": Case([install(".")], BUILDS, "no ONNX Runtime here", "CPU)"),
    "cpu, then cuda's build over it": Case([CPU, CUDA_OVER_IT], BUILDS, "are installed over each other", "CPU)"),
    "remains of a build": Case(
        [CPU, CUDA_OVER_IT, ("uninstall", "-y", "onnxruntime")], BUILDS, "only remains of", "CPU)"
    ),
    "view": Case(
        [CPU],
        "from runtime.view.web_page import require_packages as r; r(); import pynvml; print('opens')",
        "view: its packages are missing",
        "opens",
    ),
    "sign": Case([CPU], SIGNED, "needs the package cryptography", "no.pub"),
    "trial": Case(
        [CPU], "from runtime.mqtt.embedded_broker import EmbeddedBroker as b; print(b())", "amqtt is not", "object"
    ),
    "genicam": Case(
        [CPU],
        "from runtime.cameras.factory.discovery import require_package as r; r(); import viva_genicam; print('opens')",
        "its package is missing",
        "opens",
    ),
    "gentl": Case(
        [CPU],
        "from runtime.cameras.factory.gentl import require_packages as r; r(); "
        "from genicam import genapi; print('opens')",
        "its packages are missing",
        "opens",
    ),
    "modbus": Case(
        [CPU],
        "from runtime.actuator.coils import _require_package as r; r(); import pymodbus; print('opens')",
        "pymodbus is missing",
        "opens",
    ),
    "parquet": Case([CPU], PARQUET, "Parquet needs pyarrow", "function"),
    "opcua": Case([install(".")], IMPORTED.format("gateway.server"), "needs the package asyncua", "gateway.server"),
    "ray": Case([CPU], IMPORTED.format("ray.data"), "needs the package ray", "ray.data"),
    "train": Case([CPU], IMPORTED.format("training.session"), "needs the package", "training.session"),
    "tensorboard": Case([install(".[train]")], LOGGED, "needs the package tensorboard", "opens"),
    "demo": Case([CPU], CELLS, "needs the package elpv-dataset", "list"),
    "rtx": Case([CPU], "from export.engines import parse_target as p; print(p('sm89'))", "is missing here", "Target("),
    "cuda": Case([install(".[cuda]")], CUDA, "CUDAExecutionProvider"),
    "tensorrt": Case([CPU, install(".[tensorrt]")], TENSORRT, ""),
}


class Environment:
    """A fresh one, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Make it."""
        self._python = str(folder / "bin" / "python")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)

    def pip(self, *arguments: str) -> tuple[int, str]:
        """Call it in the project's folder; give its code and its last line."""
        return self._run([self._python, "-m", "pip", "--disable-pip-version-check", "-q", *arguments])

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
        _, answer = environment.ask(case.question)
        told = {"environment": name, "pip": [code for code, _ in installed], "answer": answer}
        if problems := [line for code, line in installed if code]:
            told["problems"] = problems
        is_right = case.answer in answer
        if case.then:
            remedy = REMEDY.search(answer)
            steps = [step for step in remedy.groups() if step] if remedy else []
            told["remedy"] = {step: environment.pip(*shlex.split(step)[1:])[0] for step in steps}
            _, told["then"] = environment.ask(case.question)
            is_right = is_right and bool(steps) and case.then in told["then"]
        print(json.dumps({**told, "ok": is_right, "took_s": round(time.monotonic() - started_s)}), flush=True)
    return is_right


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(CASES)
    if unknown:
        sys.exit(f"no such environment: {', '.join(sorted(unknown))}; there are {'; '.join(CASES)}")
    results = [look(name, CASES[name]) for name in sys.argv[1:] or CASES]
    sys.exit(0 if all(results) else 1)
