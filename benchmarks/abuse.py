"""Abuse: what people report of systems like this one, tried against a running station with a real mosquitto.

    PYTHONPATH=. python benchmarks/abuse.py > benchmarks/results/abuse.md

Bounded and seeded. Each kind throws its inputs at one station that runs on; after each the same station has to judge a
good part OK and a bad one NotOK. The exit code is 1 where an input ended it, was not told, was lost, or passed as OK.

survived: the inputs after which the same process goes on. told: those that were refused, or judged NotDecidable, in
words where a person looks. lost: parts without an event, and events that came under two ids. passed: parts that were
OK and had not been judged, or were bad.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import abuse_delivery
import abuse_kinds
from abuse_station import Outcome, Station
from machine import describe

SLOW = (*abuse_delivery.SLOW, *abuse_kinds.SLOW)
KINDS = (*abuse_kinds.KINDS, *abuse_delivery.KINDS, *SLOW)
Kind = Callable[[Station, random.Random, int], Outcome]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=20, help="about so many inputs of each kind")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--short", action="store_true", help="leave out what takes minutes: kills, locks, many starts")
    arguments = parser.parse_args()
    kinds = [kind for kind in KINDS if arguments.only in kind.__name__ and not (arguments.short and kind in SLOW)]
    print(f"`PYTHONPATH=. python benchmarks/abuse.py --seed {arguments.seed} --inputs {arguments.inputs}`")
    print(", ".join(f"{key}: {value}" for key, value in describe().items() if value), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        outcomes = abuse(Path(scratch), kinds, arguments.seed, arguments.inputs)
    sys.exit(not all(outcome.is_well for outcome in outcomes))


def abuse(folder: Path, kinds: Sequence[Kind], seed: int, inputs: int) -> list[Outcome]:
    """Try `kinds` one after the other against one station, and print a row for each."""
    print("\n| kind | tried | survived | told | lost | passed |\n|---|---|---|---|---|---|", flush=True)
    outcomes = []
    with Station(folder) as station:
        for kind in kinds:
            began_s = time.monotonic()
            outcome = kind(station, random.Random(f"{seed} {kind.__name__}"), inputs)
            print(f"{kind.__name__} took {time.monotonic() - began_s:.1f} s", file=sys.stderr)
            outcome.survived = outcome.tried if station.works() else 0
            outcomes.append(outcome)
            print(outcome.row((kind.__doc__ or "").rstrip(".")), flush=True)
            station.revive()
    return outcomes


if __name__ == "__main__":
    main()
