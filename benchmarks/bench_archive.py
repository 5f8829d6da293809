"""What an archive costs a core: `rejudge` over a folder of pictures, start and decoding included.

    PYTHONPATH=. python benchmarks/bench_archive.py BUNDLE PICTURES > benchmarks/results/archive.json

Processor time of all its processes, so that other work on the machine falsifies it little.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe

REJUDGE = "from archive.cli import rejudge; rejudge()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    result = {**describe("p-wae", "onnxruntime"), "load_before": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "results.csv"
        command = [str(arguments.bundle), str(arguments.pictures), f"--output={output}"]
        started_s = time.monotonic()
        subprocess.run(
            [sys.executable, "-c", REJUDGE, *command, f"--workers={arguments.workers}"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        took_s = time.monotonic() - started_s
        with output.open(newline="") as file:
            pictures = len(list(csv.DictReader(file)))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = used.ru_utime + used.ru_stime
    model = json.loads((arguments.bundle / "bundle.json").read_text(encoding="utf-8"))["name"]
    result |= {"model": model, "workers": arguments.workers, "pictures": pictures, "took_s": round(took_s, 1)}
    result |= {"core_s": round(used_s, 1), "core_ms_a_picture": round(used_s * 1000 / pictures, 1)}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
