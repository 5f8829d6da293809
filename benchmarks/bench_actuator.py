"""From frame to coil: how soon a PLC on this machine (pymodbus' server) knows each verdict, a real mosquitto beside it.

    PYTHONPATH=. python benchmarks/bench_actuator.py > benchmarks/results/actuator.json

From the frame's capture to the moment when the server has the write. Cameras and verdicts are the simulation's (no
network computes), all else is what `run-inspection` does; batches of one frame, so nothing waits by configuration.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from broker import running
from machine import describe

from core.stop import Stop
from runtime.events.event import Notice
from runtime.events.origin import Origin
from runtime.parts.part import Part
from runtime.parts.verdict import Judgement
from runtime.settings import InspectionSettings
from runtime.station.simulating.simulation import open_simulation
from tests.runtime.plc import Plc

DEADLINE_MS = 30_000.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=20.0, help="parts a second")
    parser.add_argument("--parts", type=int, default=2000)
    arguments = parser.parse_args()
    plc = Plc()
    plc.start()
    try:
        with tempfile.TemporaryDirectory() as scratch, running(Path(scratch)) as port:
            found = measure(Path(scratch), port, plc, arguments.rate, arguments.parts)
    finally:
        plc.stop()
    print(json.dumps({**describe("p-wae", "pymodbus"), **found}, indent=2))


def measure(folder: Path, port: int, plc: Plc, rate_per_s: float, parts: int) -> dict[str, Any]:
    """ms from the capture of each frame to its coil, in the order of the parts, and to its event on disk."""
    # A live one: files are read at a lower priority, and no line has an actuator behind a folder.
    camera = {"kind": "rtsp", "url": "rtsp://simulated/belt", "verdict": {"deadline_ms": DEADLINE_MS, "coil": 0}}
    settings = InspectionSettings.model_validate(
        {
            "bundle": folder / "no-bundle",
            "station": "bench",
            "cameras": {"top": camera},
            "batching": {"max_batch": 1},
            "broker": {"host": "127.0.0.1", "port": port},
            "outbox": {"path": folder / "actuator.sqlite"},
            "modbus": {"host": "127.0.0.1", "port": plc.port, "heartbeat_register": 0},
        }
    )
    captured_s: list[float] = []
    late = 0
    with open_simulation(settings, rate_per_s, parts) as inspection:
        verdicts = inspection.loop.verdicts
        stand = verdicts.stand

        def noted(part: Part, judgement: Judgement, seq: int, origin: Origin) -> Notice | None:
            nonlocal late
            told = stand(part, judgement, seq, origin)
            if told is not None and told.is_late:
                late += 1
            else:
                captured_s.append(part.captured.s)
            return told

        verdicts.stand = noted  # type: ignore[method-assign]
        assert verdicts.coils is not None
        verdicts.coils.start()
        plc.wait_for(lambda: plc.values("coil", 0) == [1])
        verdicts.coils.start = lambda: None  # type: ignore[method-assign]
        inspection.run(Stop())
    switched_s = [at_s for at_s, what, where, _value in plc.written if (what, where) == ("coil", 0)][1:-1]
    assert late == 0, f"{late} verdicts were late: the coil was switched by their deadlines, too"
    assert len(switched_s) == len(captured_s) == parts
    took_ms = (np.asarray(switched_s) - np.asarray(captured_s)) * 1000
    p50, p95, p99 = np.percentile(took_ms, [50, 95, 99]).round(2).tolist()
    return {
        "parts": parts,
        "parts_per_s": rate_per_s,
        "frame_to_coil_ms": {"p50": p50, "p95": p95, "p99": p99, "most": round(float(took_ms.max()), 2)},
    }


if __name__ == "__main__":
    main()
