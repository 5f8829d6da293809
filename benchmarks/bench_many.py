"""Eight small part numbers trained side by side, one training killed in between; with --ray on a local cluster of Ray.

`PYTHONPATH=.. python bench_many.py [--ray]` from this folder; it ends with 1 where a part was not trained.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import yaml

from tests.conftest import training_config
from tests.pictures import write_parts
from training.fitting.resume_point import resume_points
from training.many.many import find_parts, run_here, run_on_ray
from training.many.part_run import Part

PARTS, EPOCHS = 8, 60


def kill_one(part: Part, killed: list[str]) -> None:
    """Kill the training of `part` when it has a point to resume from."""
    command = ["pgrep", "-f", f"train_model.*{part.config}"]
    while not (running := subprocess.run(command, check=False, capture_output=True, text=True).stdout.split()):
        time.sleep(0.02)
    while not resume_points(part.output):
        time.sleep(0.002)
    os.kill(int(running[0]), signal.SIGKILL)
    killed.append(part.name)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--ray", action="store_true")
    on_ray = arguments.parse_args().ray
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pictures = write_parts(root / "pictures")
        (root / "parts").mkdir()
        for number in range(PARTS):
            config = training_config(
                pictures, root / "runs" / f"part-{number}", name=f"part-{number}", seed=number, epochs=EPOCHS
            )
            (root / "parts" / f"{number}.yaml").write_text(yaml.safe_dump(config))
        (root / "all.yaml").write_text("parts: ['parts/*.yaml']\n")
        parts = find_parts(root / "all.yaml")
        killed: list[str] = []
        threading.Thread(target=kill_one, args=(parts[0], killed), daemon=True).start()
        started_s = time.monotonic()
        outcomes = [*(run_on_ray(parts, 1, 0.0) if on_ray else run_here(parts, 1))]
        figures = {
            "on": "ray" if on_ray else "this machine",
            "cores": len(os.sched_getaffinity(0)),
            "parts": PARTS,
            "trained": sum(not each.error for each in outcomes),
            "killed": killed,
            "errors": {each.name: each.error for each in outcomes if each.error},
            "tries": {each.name: each.tries for each in outcomes},
            "minutes": {each.name: round(each.minutes, 2) for each in outcomes},
            "minutes_in_all": (time.monotonic() - started_s) / 60,
        }
    json.dump(figures, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return int(figures["trained"] != PARTS)


if __name__ == "__main__":
    sys.exit(main())
