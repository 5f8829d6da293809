"""Members trained side by side on a CPU, each process with its share of the cores.

A step is many small operations, which use one core well and several badly.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset

from core.errors import PwaeError
from core.files import becoming
from core.progress import Steps
from training.device import choose_device
from training.fitting.resume_point import FOLDER
from training.fitting.training_set import TrainingSet
from training.lifeline import end_with
from training.network.network import Network
from training.settings import TrainingSettings

WORTH_STEPS = 500
"""A process takes as long to start as some 150 steps of the recipe: members of fewer than these train one by one."""
_PROGRAM = "from training.fitting.side_by_side import work; work()"
_HANDED_OVER = "handed-over.pt"


def processes_for(chosen: Mapping[int, Tensor], settings: TrainingSettings) -> int:
    """Say in how many processes to train members on the pictures `chosen` for each; 1: in this one, one by one."""
    if len(chosen) < 2 or settings.devices not in (1, "auto") or choose_device().type != "cpu":
        return 1
    steps = settings.epochs * min(len(pictures) // settings.batch_size for pictures in chosen.values())
    return min(len(chosen), torch.get_num_threads()) if steps >= WORTH_STEPS else 1


def train_side_by_side(
    dataset: TrainingSet, chosen: Mapping[int, Tensor], settings: TrainingSettings, processes: int, progress: Steps
) -> None:
    """Train members on the pictures `chosen` for each (indices, int64); what they learn is in their resume points.

    Raises PwaeError with what a process says, or where something ended it.
    """
    handed_over = Path(settings.output) / FOLDER / _HANDED_OVER
    handed_over.parent.mkdir(exist_ok=True)
    content = {
        "settings": settings.model_dump_json(),
        "members": len(dataset.network.members),
        "network": dataset.network.state_dict(),
        "frames": dataset.frames,
        "raw_maps": dataset.raw_maps,
        "chosen": dict(chosen),
    }
    _write(content, handed_over)
    shares = [list(chosen)[process::processes] for process in range(processes)]
    with _workers(handed_over, shares) as (lines, workers):
        for line in lines:
            said = json.loads(line)
            if "error" in said:
                raise PwaeError(said["error"])
            progress.skip(said.get("skipped", 0))
            for _ in range(said.get("done", 0)):
                progress.advance()
        for worker, share in zip(workers, shares, strict=True):
            code = worker.wait()
            if code:
                names = ", ".join(str(member + 1) for member in share)
                raise PwaeError(
                    f"the process that trained decoders {names} was ended by signal {-code}, most often because "
                    "memory ran out; go on with --resume."
                    if code < 0
                    else f"the process that trained decoders {names} failed, as it says above; exit code {code}."
                )


def _write(content: dict[str, Any], file: Path) -> None:
    """Write what may be larger than memory has room for twice. Raises OSError."""
    with becoming(file) as part:
        try:
            with part.open("wb") as stream:
                torch.save(content, stream)
        except RuntimeError as error:  # of a full disk torch says something else, behind the OSError
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


@contextlib.contextmanager
def _workers(
    handed_over: Path, shares: Sequence[Sequence[int]]
) -> Iterator[tuple[Iterator[str], list[subprocess.Popen[bytes]]]]:
    """Start a process for each share of the members; give the lines that they print, and them. In the end none runs."""
    reading, writing = os.pipe()
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads() // len(shares))}
    with contextlib.ExitStack() as ends:
        lines = ends.enter_context(os.fdopen(reading, encoding="utf-8"))
        ends.callback(handed_over.unlink)
        workers = []
        with os.fdopen(writing, "wb") as out:
            for share in shares:
                command = [sys.executable, "-c", _PROGRAM, str(handed_over), *map(str, share)]
                # Ctrl-C is for this process, which ends the others.
                worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, env=environment, process_group=0)  # noqa: S603, our own command
                ends.enter_context(worker)
                ends.callback(worker.kill)
                workers.append(worker)
        yield lines, workers


class _PipedSteps:
    """See Steps: told to the process that started this one."""

    def skip(self, steps: int) -> None:
        _tell({"skipped": steps})

    def advance(self) -> None:
        _tell({"done": 1})


def _tell(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def work() -> None:
    """Train members in this process: `handed-over.pt`, and which of them; ends when the other process is gone."""
    end_with(sys.stdin.fileno())
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    from training.fitting.fitting import fit
    from training.fitting.learner import Learner

    content = torch.load(sys.argv[1], mmap=True, weights_only=True)
    settings = TrainingSettings.model_validate_json(content["settings"])
    network = Network(settings.network, content["network"]["permutations"], content["members"])
    network.load_state_dict(content["network"])
    dataset = TrainingSet(network, content["frames"], content["raw_maps"])
    try:
        for member in map(int, sys.argv[2:]):
            pictures = Subset(dataset, content["chosen"][member].tolist())
            fit(Learner(network.train(), settings, member), pictures, _PipedSteps())
    except PwaeError as error:
        _tell({"error": str(error)})
    except SIGTERMException:  # Lightning's, which would end this process as one that is done
        names = ", ".join(str(int(member) + 1) for member in sys.argv[2:])
        _tell({"error": f"the process that trained decoders {names} was ended by SIGTERM; go on with --resume."})
