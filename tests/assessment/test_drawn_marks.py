"""Marks on good parts: drawn as large as they are said to be, and found or not by the thresholds."""

from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from assessment import drawn_marks
from assessment.drawn_marks import KINDS, PARTS, SIZES, draw_marks, mark_covers, marks_table, parts_beside
from core.datasets.dataset import Sample, labelled_samples
from core.datasets.frames import read_frames
from training.detector.checkpoint import Checkpoint, load_checkpoint
from training.detector.inspector import Inspector, judge

Good: TypeAlias = tuple[Checkpoint, np.ndarray, np.ndarray]
"""A detector, frames of fresh good parts, and that they are none of its calibration."""


@pytest.fixture(scope="module")
def good(checkpoint: Path, parts: Path) -> Good:
    trained = load_checkpoint(checkpoint)
    samples = labelled_samples(str(parts / "test" / "good"))
    frames = read_frames(samples, trained.settings.network.input).bgr_u8
    return trained, frames, np.full(len(frames), -1)


@pytest.mark.parametrize("diameter", [0.5, 1.0, 3.0, 12.0])
def test_a_spot_covers_the_area_of_its_diameter(diameter: float) -> None:
    covered = mark_covers((40, 60), (31, 17), 0.3, 0, diameter)
    assert covered.max() <= 1
    assert covered.sum() == pytest.approx(np.pi / 4 * diameter**2, rel=0.3)
    middle = [(covered * along).sum() / covered.sum() for along in np.mgrid[:40, :60]]
    assert middle == pytest.approx([17, 31])


@pytest.mark.parametrize("width", [0.25, 1.0, 3.0])
def test_a_scratch_covers_its_length_by_its_width_and_lies_at_its_angle(width: float) -> None:
    covered = mark_covers((80, 80), (40, 40), np.pi / 4, 40, width)
    assert covered.sum() == pytest.approx(40 * width, rel=0.2)
    rows, columns = np.nonzero(covered > covered.max() / 2)
    assert np.corrcoef(rows, columns)[0, 1] > 0.9


def test_large_clear_marks_are_found_and_small_faint_ones_are_not(good: Good) -> None:
    trained, frames, fresh = good
    marks = draw_marks(trained, frames, np.ones(len(frames), bool), fresh)
    assert [(mark.kind, mark.size) for mark in marks] == [(kind, size) for kind in KINDS for size in SIZES]
    assert {mark.parts for mark in marks} == {min(PARTS, len(frames))}
    by_mark = {(mark.kind, mark.size): mark.found for mark in marks}
    assert by_mark["clear spot", SIZES[-1]] > by_mark["faint spot", SIZES[0]]
    again = draw_marks(trained, frames, np.ones(len(frames), bool), fresh)
    assert [mark.row() for mark in marks] == [mark.row() for mark in again]


def test_a_part_has_a_mark_of_each_size_at_one_place(good: Good) -> None:
    trained, frames, fresh = good
    marks = draw_marks(trained, frames[:1], np.ones(1, bool), fresh[:1])
    spots = [mark.example_bgr_u8.astype(int) for mark in marks if mark.kind == "clear spot"]
    side = min(frames.shape[1:3]) // 2
    assert spots[-1].shape == (side, side, 3)
    assert all(mark.example_bgr_u8.base is None for mark in marks), "none keeps the frame that it was cut out of"
    changed = [np.abs(spot - spots[0]).sum(axis=2) for spot in spots[1:]]
    assert sorted(each.sum() for each in changed) == [each.sum() for each in changed]
    middles = [[(each * along).sum() / each.sum() for along in np.mgrid[:side, :side]] for each in changed]
    assert np.ptp(middles, axis=0).max() < 1


def test_parts_that_did_not_pass_without_a_mark_are_not_drawn_on(good: Good) -> None:
    trained, frames, fresh = good
    passed = np.zeros(len(frames), bool)
    assert draw_marks(trained, frames, passed, fresh) == ()
    passed[3] = True
    assert {mark.parts for mark in draw_marks(trained, frames, passed, fresh)} == {1}


def test_parts_that_trained_are_judged_by_the_decoder_that_has_not_seen_them(
    checkpoint: Path, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = load_checkpoint(checkpoint)
    calibration = trained.calibration
    frames = read_frames([Sample(Path(name), "good") for name in calibration.names], trained.settings.network.input)
    rows = np.arange(len(calibration.names))
    assert calibration.members is not None
    for row in (0, len(rows) - 1):
        errors, _ = judge(trained.inspector, frames.bgr_u8[row : row + 1], member=int(calibration.members[row]))
        assert errors[0] == pytest.approx(calibration.errors[row], rel=0.05), "as it judged for the thresholds"
    asked: list[tuple[int | None, int]] = []

    def recorded(inspector: Inspector, drawn: np.ndarray, member: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        asked.append((member, len(drawn) // (len(KINDS) * len(SIZES))))
        return judge(inspector, drawn, member=member)

    monkeypatch.setattr(drawn_marks, "judge", recorded)
    draw_marks(trained, frames.bgr_u8, np.ones(len(rows), bool), rows)
    assert {member for member, _ in asked} <= set(calibration.members.tolist())
    assert sum(count for _, count in asked) == min(PARTS, len(rows))
    silent = replace(trained, calibration=replace(calibration, members=None))
    assert draw_marks(silent, frames.bgr_u8, np.ones(len(rows), bool), rows) == (), "nobody knows who has not seen them"


@pytest.mark.parametrize(("folds", "drawn_on"), [(1, 3), (4, 8)])
def test_beside_parts_kept_aside_from_one_decoder_none_is_drawn_on_that_it_may_have_trained_on(
    good: Good, folds: int, drawn_on: int
) -> None:
    trained, frames, fresh = good
    model = replace(trained, settings=trained.settings.model_copy(update={"folds": folds}))
    rows = fresh[:8].copy()
    rows[:3] = range(3)
    assert {mark.parts for mark in draw_marks(model, frames[:8], np.ones(8, bool), rows)} == {drawn_on}
    assert {mark.parts for mark in draw_marks(model, frames[:8], np.ones(8, bool), fresh[:8])} == {8}


@pytest.mark.parametrize(("pictures", "parts"), [(10, 3), (75, 4), (500, 12)])
def test_beside_real_defects_marks_take_about_as_long_as_the_pictures(pictures: int, parts: int) -> None:
    assert parts_beside(pictures) == parts


def test_the_table_has_a_line_a_kind_and_a_column_a_size(good: Good) -> None:
    trained, frames, fresh = good
    head, rows = marks_table(mark.row() for mark in draw_marks(trained, frames, np.ones(len(frames), bool), fresh))
    assert head[1:] == ("1%", "2%", "4%", "8%")
    assert [row[0] for row in rows] == list(KINDS)
    assert all(cell.endswith(f"of {min(PARTS, len(frames))}") for row in rows for cell in row[1:])
