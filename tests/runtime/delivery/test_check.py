"""The doctor's look at the outbox: as much as may wait there has room."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.errors import OutboxError
from runtime.delivery.check import check_outbox
from runtime.outbox.outbox import Outbox
from runtime.outbox.settings import KEPT_BYTES, OutboxSettings
from tests.runtime.outbox.test_outbox import letter


@pytest.mark.parametrize(
    ("free_bytes", "bounds", "is_told"),
    [
        (1_000_000_000, {}, True),
        (3_000_000_000, {}, False),
        (1_000_000_000, {"max_events": 100_000}, False),
        (1_000_000_000, {"max_bytes": 300_000_000}, False),
        (440_000_000, {"max_events": 100_000}, True),  # 430 MB and what lets go of them
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


def test_a_disk_without_room_for_new_events_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=KEPT_BYTES - 1))
    with pytest.raises(OutboxError, match=r"/box\.sqlite: its disk is full"):
        check_outbox(OutboxSettings(path=tmp_path / "box.sqlite"))
    assert list(tmp_path.iterdir()) == []


def test_a_station_that_begins_while_the_doctor_looks_keeps_its_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was none before, and what the doctor tries goes again."""
    settings, begun = OutboxSettings(path=tmp_path / "box.sqlite"), list[Outbox]()

    def begin(self: Outbox) -> None:
        if not begun:
            begun.append(self)  # not once more by the station's own
            begun.append(Outbox(settings))
            begun[-1].add([letter(1)])

    monkeypatch.setattr(Outbox, "require_room", begin)
    check_outbox(settings)
    monkeypatch.undo()
    begun[-1].close()
    again = Outbox(settings)
    assert again.depth == 1
    again.close()
    assert [file.name for file in tmp_path.iterdir()] == ["box.sqlite"]


def test_the_file_becomes_about_as_large_as_is_reckoned_with(tmp_path: Path) -> None:
    settings = OutboxSettings(path=tmp_path / "box.sqlite", max_events=1000)
    outbox = Outbox(settings)
    for first in range(0, 1000, 10):
        outbox.add([letter(number, size=1800) for number in range(first, first + 10)])
    outbox.close()
    assert 0.9 < settings.path.stat().st_size / settings.file_bytes < 1.05
