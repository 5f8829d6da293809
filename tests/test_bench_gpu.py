"""The measurements of a GPU: each row stands for itself, whatever fails before it."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
    return importlib.import_module("bench_gpu")


def test_what_fails_is_a_row_and_a_way_is_measured_without_the_roofline(
    bench: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost() -> dict[str, float]:
        raise RuntimeError("CUDA error:\n no kernel image is available")

    assert bench.attempt("roofline", lost) == {}
    way = bench.Way(lambda: None, lambda count: None, None)
    assert bench.attempt("way", lambda: bench.rate(lambda: [way], 4, 0.01, None), batch=4)
    failed, measured = map(json.loads, capsys.readouterr().out.splitlines())
    assert failed == {"row": "roofline", "fails": "RuntimeError: CUDA error: no kernel image is available"}
    assert measured["batch"] == 4
    assert measured["frames_per_s_with_copies"] > 0
    assert "share_of_roofline" not in measured
