"""Marks on good parts: drawn as large as they are said to be, and found or not by the thresholds."""

from pathlib import Path

import numpy as np
import pytest

from assessment.drawn_marks import KINDS, PARTS, SIZES, draw_marks, mark_covers, marks_table
from core.dataset import labelled_samples, read_frames
from training.detector.checkpoint import Checkpoint, load_checkpoint


@pytest.fixture(scope="module")
def good(checkpoint: Path, parts: Path) -> tuple[Checkpoint, np.ndarray]:
    trained = load_checkpoint(checkpoint)
    samples = labelled_samples(str(parts / "test" / "good"))
    return trained, read_frames(samples, trained.settings.network.input).bgr_u8


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


def test_large_clear_marks_are_found_and_small_faint_ones_are_not(good: tuple[Checkpoint, np.ndarray]) -> None:
    trained, frames = good
    marks = draw_marks(trained, frames, np.zeros(len(frames)))
    assert [(mark.kind, mark.size) for mark in marks] == [(kind, size) for kind in KINDS for size in SIZES]
    assert {mark.parts for mark in marks} == {min(PARTS, len(frames))}
    by_mark = {(mark.kind, mark.size): mark.found for mark in marks}
    assert by_mark["clear spot", SIZES[-1]] > by_mark["faint spot", SIZES[0]]
    again = draw_marks(trained, frames, np.zeros(len(frames)))
    assert [mark.row() for mark in marks] == [mark.row() for mark in again]


def test_a_part_has_a_mark_of_each_size_at_one_place(good: tuple[Checkpoint, np.ndarray]) -> None:
    trained, frames = good
    marks = draw_marks(trained, frames[:1], np.zeros(1))
    spots = [mark.example_bgr_u8.astype(int) for mark in marks if mark.kind == "clear spot"]
    side = min(frames.shape[1:3]) // 2
    assert spots[-1].shape == (side, side, 3)
    changed = [np.abs(spot - spots[0]).sum(axis=2) for spot in spots[1:]]
    assert sorted(each.sum() for each in changed) == [each.sum() for each in changed]
    middles = [[(each * along).sum() / each.sum() for along in np.mgrid[:side, :side]] for each in changed]
    assert np.ptp(middles, axis=0).max() < 1


def test_parts_that_are_rejected_without_a_mark_are_not_drawn_on(good: tuple[Checkpoint, np.ndarray]) -> None:
    trained, frames = good
    ranking = np.full(len(frames), 2.0)
    assert draw_marks(trained, frames, ranking) == ()
    ranking[3] = 0.5
    assert {mark.parts for mark in draw_marks(trained, frames, ranking)} == {1}


def test_the_table_has_a_line_a_kind_and_a_column_a_size(good: tuple[Checkpoint, np.ndarray]) -> None:
    trained, frames = good
    head, rows = marks_table(mark.row() for mark in draw_marks(trained, frames, np.zeros(len(frames))))
    assert head[1:] == ("1%", "2%", "4%", "8%")
    assert [row[0] for row in rows] == list(KINDS)
    assert all(cell.endswith(f"of {min(PARTS, len(frames))}") for row in rows for cell in row[1:])
