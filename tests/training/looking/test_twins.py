"""Twins: what was saved or filmed again is named with what it shows again; parts that are merely alike are not."""

import re
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.cameras.exposure import exposure_fault
from runtime.parts.verdict import Reason
from training.looking.advice import advise
from training.looking.bursts import look_of
from training.looking.findings import findings
from training.looking.survey import survey
from training.looking.twins import TURNS, detail_of, turned_twins_of, twins_of

Frame = NDArray[np.uint8]
SIZE = 240


@cache
def plate(seed: int, angle: float | None = None) -> Frame:
    """A plate with marks of its own and a hole, a little turned or as told, filmed with noise; (SIZE, SIZE, 3)."""
    rng = np.random.default_rng(seed)
    marks = cv2.resize(rng.normal(0, 12, (40, 40)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    turned = cv2.boxPoints(((SIZE / 2, SIZE / 2), (160, 90), rng.uniform(-5, 5) if angle is None else angle))
    shape = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(shape, [turned.round().astype(np.int32)], 1)
    cv2.circle(shape, (100, 120), 12, 0, -1)
    return filmed(np.where(shape == 1, 150 + marks, 60)[:, :, None].repeat(3, axis=2), seed)


def filmed(shown: NDArray[np.floating], seed: int) -> Frame:
    noise = np.random.default_rng(1000 + seed).normal(0, 3, shown.shape)
    return np.asarray((shown + noise).round().clip(0, 255), np.uint8)


def jpeg(frame: Frame, quality: int) -> Frame:
    content = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


def resized(frame: Frame, size: int) -> Frame:
    return np.asarray(cv2.resize(frame, (size, size)), np.uint8)


def found_in(frames: Sequence[Frame], trained: int) -> list[tuple[int, int]]:
    return twins_of([look_of(frame) for frame in frames], [detail_of(frame) for frame in frames], trained)


AGAIN: dict[str, Callable[[Frame], Frame]] = {
    "as JPEG": lambda frame: jpeg(frame, 75),
    "half as large, as JPEG": lambda frame: jpeg(resized(frame, SIZE // 2), 90),
    "larger": lambda frame: resized(frame, 333),
    "brighter": lambda frame: np.asarray(np.clip(frame * 1.1 + 4, 0, 255), np.uint8),
    "filmed again": lambda frame: filmed(frame.astype(float), 7),
}


def write(folder: Path, seeds: range) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        cv2.imwrite(str(folder / f"{seed:03}.png"), plate(seed))
    return folder


@pytest.mark.parametrize("way", AGAIN)
def test_what_is_there_again_is_paired_with_it_and_nothing_else_is(way: str) -> None:
    frames = [plate(seed) for seed in range(40)]
    assert found_in([*frames, *map(AGAIN[way], frames[::8])], 40) == [(8 * k, 40 + k) for k in range(5)]
    among_the_good = [*frames, AGAIN[way](frames[3])]
    assert found_in(among_the_good, 41) == [(3, 40)]


def test_each_is_paired_once_and_test_pictures_are_not_paired_among_themselves() -> None:
    frames = [plate(seed) for seed in range(20)]
    again = [jpeg(frames[2], 80), jpeg(frames[2], 60), plate(50), jpeg(plate(50), 80)]
    assert found_in([*frames, *again], 20) == [(2, 20), (2, 21)]


@pytest.mark.parametrize("count", [1, 2, 5, 10, 11, 40])
@pytest.mark.parametrize("noise", [0.0, 0.5, 4.0])
def test_of_parts_that_all_look_the_same_none_is_there_again(noise: float, count: int) -> None:
    same = plate(0).astype(float)
    rng = np.random.default_rng(0)
    frames = [np.asarray((same + rng.normal(0, noise, same.shape)).clip(0, 255), np.uint8) for _ in range(count)]
    assert found_in(frames, count) == []


def test_a_black_and_a_white_picture_are_not_taken_for_each_other() -> None:
    flat = [np.full((SIZE, SIZE, 3), level, np.uint8) for level in (0, 255, 128)]
    assert found_in([*(plate(seed) for seed in range(20)), *flat], 22) == []


def test_parts_that_differ_in_their_marks_alone_are_not_taken_for_each_other() -> None:
    assert found_in([plate(seed, angle=0) for seed in range(60)], 60) == []


def test_a_part_is_not_taken_for_itself_with_a_defect() -> None:
    frames = [plate(seed) for seed in range(40)]
    scratched = frames[5].copy()
    cv2.line(scratched, (130, 130), (150, 138), (230, 230, 230), 2)
    assert found_in([*frames, jpeg(frames[5], 75), jpeg(scratched, 75)], 40) == [(5, 40)]


def test_the_same_picture_is_named_among_the_good_and_in_the_test(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "train/good", range(12)), write(tmp_path / "test/scratch", range(100, 104))
    shutil.copy(good / "004.png", good / "copy.png")
    shutil.copy(good / "007.png", bad / "007.png")
    advice = advise(survey(str(tmp_path)))
    words = advice.as_yaml("part", str(tmp_path)).replace("\n# ", " ")
    assert f"training takes the first (1): - {good / '004.png'}, {good / 'copy.png'}" in words
    assert "to test with 5 scratch" in words
    urgent = [line for line in advice.attention if not line.startswith("ATTENTION: `")]
    assert urgent[0].startswith("ATTENTION: pictures that train as good ones and test as bad ones")
    assert urgent[1:] == [f"- {bad / '007.png'} (scratch) and {good / '007.png'}"]


def test_init_names_both_of_each_pair_and_what_to_do(tmp_path: Path) -> None:
    for place, seeds, saved_again in (
        ("train/good", range(30), 4),
        ("test/good", range(100, 106), 7),
        ("test/dent", range(200, 204), 11),
    ):
        cv2.imwrite(str(write(tmp_path / place, seeds) / f"again {saved_again}.jpg"), plate(saved_again))
    told = findings(survey(str(tmp_path)), [(SIZE, SIZE)], 216)
    good, test = tmp_path / "train/good", tmp_path / "test"
    lines = iter(told)
    for said, pair in (
        ("good pictures that show", f"{good / '004.png'} and {good / 'again 4.jpg'}"),
        ("test pictures that show", f"{test / 'good/again 7.jpg'} and {good / '007.png'}"),
        (
            "pictures that train as good ones and test as bad",
            f"{test / 'dent/again 11.jpg'} (dent) and {good / '011.png'}",
        ),
    ):
        assert any(line.startswith(f"ATTENTION: {said}") and "remove" in line for line in lines)
        assert next(lines) == f"- {pair}"
    assert sum("may merely lie alike: keep both" in line for line in told) == 2, "of washers nobody can know"


def test_parts_that_were_filmed_several_times_are_told_once_and_what_was_saved_again_too(tmp_path: Path) -> None:
    for number in range(24):
        cv2.imwrite(str(tmp_path / f"{number:03}.png"), filmed(plate(number // 3).astype(float), number))
    told = findings(survey(str(tmp_path)), [(SIZE, SIZE)], 216)
    assert any("Do they show one part? Then set `bursts: true`" in line for line in told)
    assert not any("that show what another one shows" in line for line in told)
    cv2.imwrite(str(tmp_path / "copy.jpg"), plate(5))
    told = findings(survey(str(tmp_path)), [(SIZE, SIZE)], 216)
    pairs = [line for line in told if line.startswith("- ")]
    assert any("copy.jpg" in pair for pair in pairs)
    assert all(re.search(r"/(015|016|017|copy)\.\w+ and .*/(015|016|017|copy)\.", pair) for pair in pairs)


@pytest.mark.parametrize("turn", [*TURNS, (0, False)])
def test_a_good_picture_that_stands_turned_or_mirrored_in_the_test_is_named(
    turn: tuple[int, bool],
) -> None:
    quarters, mirrored = turn
    frames = [plate(seed) for seed in range(30)]
    again = np.ascontiguousarray(np.rot90(frames[7][:, ::-1] if mirrored else frames[7], quarters))
    every = [*frames, plate(100), again]
    found = turned_twins_of([look_of(one) for one in every], [detail_of(one) for one in every], 30)
    assert found == ([] if turn == (0, False) else [(7, 31)])


def test_no_picture_is_turned_where_none_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.looking.twins._turned", lambda *_: pytest.fail("there is nothing to hold it against"))
    plates = [plate(seed) for seed in range(12)]
    assert turned_twins_of([look_of(one) for one in plates], [detail_of(one) for one in plates], 12) == []


def test_init_tells_of_a_mirrored_picture_in_the_test(tmp_path: Path) -> None:
    write(tmp_path / "train" / "good", range(30))
    (tmp_path / "test" / "good").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "test" / "good" / "new.png"), plate(100))
    cv2.imwrite(str(tmp_path / "test" / "good" / "mirrored.png"), plate(7)[:, ::-1])
    told = [(trained.stem, tested.path.stem) for trained, tested in survey(str(tmp_path)).trained_and_tested]
    assert told == [("007", "mirrored")]


def test_turned_pictures_are_held_against_those_of_the_test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[int, int]] = []

    def apart(looks: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
        held.append((len(looks), len(others)))
        return np.ones((len(looks), len(others)), np.float32)

    monkeypatch.setattr("training.looking.twins._apart", apart)
    plates = [plate(seed) for seed in range(16)]
    assert turned_twins_of([look_of(one) for one in plates], [detail_of(one) for one in plates], 12) == []
    assert held == [(4, 12)] * len(TURNS)


def test_symmetric_parts_that_lie_as_others_do_when_turned_are_not_named() -> None:
    def nut(seed: int) -> Frame:
        rng = np.random.default_rng(seed)
        shown = np.full((SIZE, SIZE, 3), 60.0)
        cv2.rectangle(shown, (60, 60), (180, 180), (150, 150, 150), -1)
        cv2.circle(shown, (120, 120), 20, (30, 30, 30), -1)
        moved = np.array([[1, 0, rng.uniform(-8, 8)], [0, 1, rng.uniform(-8, 8)]])
        lying = cv2.warpAffine(shown, moved, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
        return filmed(np.asarray(lying, np.float64), seed)

    nuts = [nut(seed) for seed in range(60)]
    assert turned_twins_of([look_of(one) for one in nuts], [detail_of(one) for one in nuts], 40) == []


def test_pictures_that_show_nothing_are_named(tmp_path: Path) -> None:
    good = write(tmp_path, range(12))
    for name, level in (("black", 0), ("white", 260)):
        cv2.imwrite(str(good / f"{name}.png"), filmed(np.full((SIZE, SIZE, 3), float(level)), 0))
    told = findings(survey(str(good)), [(SIZE, SIZE)], 216)
    first = next(k for k, line in enumerate(told) if line.startswith("ATTENTION: good pictures that are black or"))
    assert told[first + 1 : first + 3] == [f"- {good / 'black.png'}", f"- {good / 'white.png'}"]
    assert sum("black.png" in line for line in told) == 1


def test_a_picture_is_dark_where_a_station_would_not_decide_about_it(tmp_path: Path) -> None:
    good = write(tmp_path, range(12))
    cap_on = np.random.default_rng(0).integers(5, 9, (SIZE, SIZE, 3)).astype(np.uint8)
    shows_little = np.zeros((SIZE, SIZE, 3), np.uint8)
    shows_little[:10, : SIZE // 2] = 60
    for name, picture, reason in (("cap", cap_on, Reason.BLACK), ("little", shows_little, None)):
        assert exposure_fault(picture) == reason
        cv2.imwrite(str(good / f"{name}.png"), picture)
    told = findings(survey(str(good)), [(SIZE, SIZE)], 216)
    first = next(k for k, line in enumerate(told) if line.startswith("ATTENTION: good pictures that are black or"))
    assert (told[first].endswith("(1):"), told[first + 1]) == (True, f"- {good / 'cap.png'}")


def test_where_most_pictures_are_dark_nobody_is_told_to_remove_them(tmp_path: Path) -> None:
    for seed in range(12):
        cv2.imwrite(str(tmp_path / f"{seed}.png"), (plate(seed) // 64).astype(np.uint8))
    told = findings(survey(str(tmp_path)), [(SIZE, SIZE)], 216)
    assert any("12 of 12 good pictures are nearly black or white. Are these parts lit so?" in line for line in told)
    assert not any("remove them" in line for line in told)


def test_a_test_picture_in_which_the_region_does_not_lie_is_told_as_unreadable(tmp_path: Path) -> None:
    for place, size in (("train/good", SIZE), ("test/good", 100)):
        (tmp_path / place).mkdir(parents=True)
        for seed in range(3):
            cv2.imwrite(str(tmp_path / place / f"{seed}.png"), plate(seed)[:size, :size])
    found = survey(str(tmp_path), roi=(20, 20, 200, 200))
    assert (len(found.good), len(found.test), len(found.unreadable)) == (3, 0, 3)
    assert "does not lie within a frame of 100 x 100" in found.unreadable[0]
