"""The loop of docs/operator.md, walked with a set in MVTec layout that plays a camera, by the set's own labels.

    PYTHONPATH=. python benchmarks/loop.py --data DIR --name cookie --seeds 0 1 2

Per seed the set's good and defective parts are shuffled and parted in three. `--collected` good ones are filmed before
there is a model; the first model comes of them. Then the line runs: good and defective parts come one by one into a
watched folder, and are judged. Round 1: the operators mark each that was judged wrongly, by HTTP. Round 2: the others
too. After each round the marked pictures are exported, train with those collected, and the models are compared: on the
exported parts that are not for training, and on parts kept aside, which were neither filmed, nor judged, nor marked.
Every step is a command of docs/operator.md, in a process of its own. Figures go to results/loop.jsonl.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import yaml
from broker import free_port
from machine import describe
from quality import RESULTS, append_run, read_runs

from assessment.comparison import compare
from core.datasets.dataset import Sample, labelled_samples, training_samples
from core.datasets.layout import GOOD

RUNS = Path("runs/loop")
TOKEN = "the-right-to-mark"  # noqa: S105
ENTRIES = {
    "run-inspection": "runtime.cli:run_inspection",
    "train-model": "training.cli:train_model",
    "export-engine": "export.cli:export_engine",
    "evaluate-model": "assessment.cli:evaluate_model",
}
ROUNDS = ("wrongly judged", "all of the line")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a set in MVTec layout")
    parser.add_argument("--name", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--collected", type=int, default=20, help="good parts that are filmed first")
    arguments = parser.parse_args()
    log = RESULTS / "loop.jsonl"
    done = {(run["set"], run["seed"], run["collected"]) for run in read_runs(log)} if log.exists() else set()
    for seed in arguments.seeds:
        if (arguments.name, seed, arguments.collected) not in done:
            run = walk(arguments.data, arguments.name, seed, arguments.collected)
            append_run(log, run)
            print(json.dumps(run, indent=2))


def walk(data: Path, name: str, seed: int, collected: int) -> dict[str, Any]:
    folder = (RUNS / name / f"{seed}-{collected}").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    good = [*training_samples(str(data)), *(each for each in labelled_samples(str(data)) if each.kind == GOOD)]
    bad = [each for each in labelled_samples(str(data)) if each.kind != GOOD]
    rng = random.Random(seed)
    rng.shuffle(good)
    rng.shuffle(bad)
    first, rest = good[:collected], good[collected:]
    line = [*rest[: len(rest) // 2], *bad[: len(bad) // 2]]
    aside = [*rest[len(rest) // 2 :], *bad[len(bad) // 2 :]]
    rng.shuffle(line)
    film(folder, first)
    models = [learn(folder, f"{name}-1", ["collected"])]
    bundle = folder / "first.bundle"
    run("export-engine", str(models[0]), "--output", bundle.name, cwd=folder)
    labels = {f"{number:04}{sample.path.suffix}": sample for number, sample in enumerate(line)}
    lay_out(folder / "aside", aside)
    rounds = []
    with station(folder, bundle) as address:
        judged = judge(folder / "inbox", address, labels)
        for number, title in enumerate(ROUNDS, 2):
            wrong = [each for each in judged if (each["verdict"] == "OK") is not is_good(labels[each["file"]])]
            for each in wrong if number == 2 else [each for each in judged if each not in wrong]:
                mark(address, each, labels[each["file"]])
            marked = f"marked-{number}"
            run("run-inspection", "evidence", "export", "inspection.yaml", "--marked", "--output", marked, cwd=folder)
            trained = [folder / "collected", folder / marked]
            if not (
                folder / marked / "train"
            ).is_dir():  # no good part was judged wrongly, or by chance all are to test
                rounds.append({"marked": title, "trained_on_more": 0})
                continue
            models.append(learn(folder, f"{name}-{number}", [place.name for place in trained]))
            rounds.append(
                {
                    "marked": title,
                    "trained_on_more": len(training_samples(str(folder / marked))),
                    "on_marked": figures(folder, models, marked),
                    "on_kept_aside": figures(folder, models, "aside"),
                }
            )
    return {
        "set": name,
        "seed": seed,
        "collected": collected,
        "line": counts(line),
        "kept_aside": counts(aside),
        "judged_wrongly": counts([labels[each["file"]] for each in wrong]),
        "rounds": rounds,
        **describe("torch", "onnxruntime"),
    }


def film(folder: Path, parts: Sequence[Sample]) -> None:
    """Let the station's own camera collect the first good parts."""
    lay_out(folder / "first", parts)
    configure(folder, {"kind": "folder", "path": "first"}, Path("none.bundle"))
    count = str(len(parts))
    run("run-inspection", "collect", "inspection.yaml", "--pictures", count, "--output", "collected", cwd=folder)


def learn(folder: Path, name: str, data: list[str]) -> Path:
    """Train a model of these folders; gives its checkpoint."""
    config = folder / f"{name}.yaml"
    run("train-model", "init", *data, "--output", config.name, cwd=folder)
    run("train-model", config.name, cwd=folder)
    output: str = yaml.safe_load(config.read_text())["output"]
    return folder / output / "checkpoint"


def configure(folder: Path, camera: dict[str, Any], bundle: Path, **sections: Any) -> None:
    content = {"bundle": str(bundle), "station": "loop", "cameras": {"top": camera}, **sections}
    (folder / "inspection.yaml").write_text(yaml.safe_dump(content))


@contextmanager
def station(folder: Path, bundle: Path) -> Iterator[str]:
    """Run the line; gives the address of its page."""
    (folder / "inbox").mkdir()
    (folder / "token").write_text(f"{TOKEN}\n")
    port = free_port()
    configure(
        *(folder, {"kind": "watch", "path": "inbox"}, bundle),
        broker={"port": free_port()},
        evidence={"folder": "evidence", "every_nth_ok": 1, "min_free_bytes": 0},
        view={"port": port, "mark_token_file": "token"},
    )
    process = subprocess.Popen([*command("run-inspection"), "inspection.yaml"], cwd=folder)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def judge(inbox: Path, address: str, parts: dict[str, Sample]) -> list[dict[str, Any]]:
    """Put the parts before the camera, one by one; gives what was judged."""
    for name, sample in parts.items():
        shutil.copyfile(sample.path, inbox / f".{name}")
        (inbox / f".{name}").rename(inbox / name)
    while True:
        try:
            with urllib.request.urlopen(f"{address}/history.json?verdict=all&limit=1000") as answer:  # noqa: S310
                judged: list[dict[str, Any]] = json.load(answer)
        except OSError:
            judged = []
        if len(judged) == len(parts) and all(each["picture"] for each in judged):
            return judged
        time.sleep(0.2)


def mark(address: str, judged: dict[str, Any], sample: Sample) -> None:
    said = {"was": "good" if is_good(sample) else "bad", "by": "the set's labels", "note": sample.path.name}
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/events/{judged['id']}/mark", json.dumps(said).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request):  # noqa: S310
        pass


def figures(folder: Path, models: Sequence[Path], data: str) -> dict[str, Any] | None:
    """Show what `compare` says of the first and the newest model, and give it as figures; None: nothing is to test."""
    if not (folder / data / "test").is_dir():
        return None
    old, new = (str(model.relative_to(folder)) for model in (models[0], models[-1]))
    run("evaluate-model", "compare", old, new, "--data", data, cwd=folder)
    found = compare((models[0], models[-1]), str(folder / data))
    rejected, defective = found.scores > 1, found.defective
    return {
        "good": int((~defective).sum()),
        "defective": int(defective.sum()),
        "false_rejects": rejected[:, ~defective].sum(axis=1).tolist(),
        "misses": (~rejected[:, defective]).sum(axis=1).tolist(),
        "differing": len(found.differing),
    }


def lay_out(folder: Path, parts: Sequence[Sample]) -> None:
    """Link parts into a folder: by kind where some are defective."""
    for number, sample in enumerate(parts):
        kind = Path() if all(map(is_good, parts)) else Path("test") / (GOOD if is_good(sample) else "bad")
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / f"{number:04}{sample.path.suffix}").symlink_to(sample.path.resolve())


def counts(parts: Sequence[Sample]) -> dict[str, int]:
    return {"good": sum(map(is_good, parts)), "defective": sum(not is_good(each) for each in parts)}


def is_good(sample: Sample) -> bool:
    return sample.kind == GOOD


def command(name: str) -> list[str]:
    module, function = ENTRIES[name].split(":")
    return [sys.executable, "-c", f"from {module} import {function}; {function}()"]


def run(name: str, *arguments: str, cwd: Path) -> None:
    print("$", name, *arguments, flush=True)
    subprocess.run([*command(name), *arguments], cwd=cwd, check=True)


if __name__ == "__main__":
    main()
