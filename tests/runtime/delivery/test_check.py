"""The doctor's look at the outbox: as much as may wait there has room."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime.delivery.check import check_outbox
from runtime.outbox.outbox import Outbox
from runtime.outbox.settings import OutboxSettings
from tests.runtime.outbox.test_outbox import letter


@pytest.mark.parametrize(
    ("free_bytes", "bounds", "is_told"),
    [
        (1_000_000_000, {}, True),
        (3_000_000_000, {}, False),
        (1_000_000_000, {"max_events": 100_000}, False),
        (1_000_000_000, {"max_bytes": 300_000_000}, False),
        (300_000_000, {"max_events": 100_000}, True),
    ],
)
def test_a_disk_that_what_may_wait_would_fill_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, bounds: dict[str, int], is_told: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_bytes))
    told = check_outbox(OutboxSettings(path=tmp_path / "box.sqlite", **bounds))
    assert "can be written, 0 events wait in it" in told
    assert ("; warning: it may take " in told) == is_told


def test_the_file_becomes_about_as_large_as_is_reckoned_with(tmp_path: Path) -> None:
    settings = OutboxSettings(path=tmp_path / "box.sqlite", max_events=1000)
    outbox = Outbox(settings)
    for first in range(0, 1000, 10):
        outbox.add([letter(number, size=1800) for number in range(first, first + 10)])
    outbox.close()
    assert 0.9 < settings.path.stat().st_size / settings.file_bytes < 1.05
