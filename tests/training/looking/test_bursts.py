"""Bursts: what was filmed several times is found, in whatever order the pictures are given, and nothing else is."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from core.datasets.collected import Collected, save_collected
from training.looking.advice import advise
from training.looking.bursts import are_filmed_again, look_of, number_bursts, two_alike
from training.looking.findings import findings
from training.looking.survey import survey


def film(parts: int, times: int, seed: int = 0) -> NDArray[np.uint8]:
    """Film each part so many times in turn: a little aside, darker or brighter, with noise."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(parts):
        part = cv2.resize(rng.normal(120, 30, (8, 8, 3)), (48, 48), interpolation=cv2.INTER_CUBIC)
        for _ in range(times):
            aside = np.array([[1, 0, rng.normal(0, 0.2)], [0, 1, rng.normal(0, 0.2)]])
            moved = cv2.warpAffine(part, aside, part.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
            noisy = moved * rng.uniform(0.97, 1.03) + rng.normal(0, 3, part.shape)
            frames.append(noisy.clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def found_in(frames: NDArray[np.uint8], paths: list[Path]) -> NDArray[np.int64]:
    return number_bursts([look_of(frame) for frame in frames], paths)


def numbered(count: int) -> list[Path]:
    return [Path(f"frame-{number}.png") for number in range(count)]


@pytest.mark.parametrize(("parts", "times"), [(20, 2), (12, 5), (6, 30)])
def test_pictures_of_one_part_are_of_one_burst(parts: int, times: int) -> None:
    found = found_in(film(parts, times), numbered(parts * times))
    true = np.repeat(np.arange(parts), times)
    divided = sum(len(np.unique(found[true == part])) > 1 for part in range(parts))
    joined = sum(len(np.unique(true[found == burst])) > 1 for burst in np.unique(found))
    assert are_filmed_again(found)
    assert divided <= parts // 10
    assert joined <= parts // 4


@pytest.mark.parametrize("seed", range(5))
def test_of_parts_that_were_filmed_once_each_is_by_itself(seed: int) -> None:
    assert not are_filmed_again(found_in(film(60, 1, seed), numbered(60)))


@pytest.mark.parametrize("seed", range(5))
def test_light_that_wanders_slowly_to_a_side_makes_no_burst_of_parts_that_were_filmed_once_each(seed: int) -> None:
    frames, across = film(60, 1, seed), np.linspace(-1, 1, 48)[None, :, None]
    wandered = [frame * (1 + 0.4 * np.sin(number / 8) * across) for number, frame in enumerate(frames)]
    assert not are_filmed_again(found_in(np.clip(wandered, 0, 255).astype(np.uint8), numbered(60)))


def test_the_order_is_that_of_the_names_as_people_count() -> None:
    frames, paths = film(20, 2), numbered(40)
    shuffled = np.random.default_rng(3).permutation(40)
    found = found_in(frames[shuffled], [paths[index] for index in shuffled])
    assert np.array_equal(found, found_in(frames, paths)[shuffled])


def test_the_two_that_are_named_to_look_at_are_not_the_one_picture_that_is_there_twice() -> None:
    frames, paths = film(20, 2), numbered(40)
    frames[21] = frames[20]
    looks = [look_of(frame) for frame in frames]
    one, other = two_alike(number_bursts(looks, paths), looks, paths)
    assert {one, other} != {paths[20], paths[21]}
    assert paths.index(one) // 2 == paths.index(other) // 2


def test_what_goes_over_into_each_other_is_cut_into_quarters() -> None:
    first, last = film(2, 1)
    shares = np.linspace(0, 1, 80)[:, None, None, None]
    frames = (first * (1 - shares) + last * shares).astype(np.uint8)
    found = found_in(frames, numbered(80))
    assert np.unique(found, return_counts=True)[1].max() <= 20


@pytest.mark.parametrize("count", range(1, 8))
def test_few_pictures_are_each_by_themselves(count: int) -> None:
    assert len(np.unique(found_in(np.zeros((count, 8, 8, 3), np.uint8), numbered(count)))) == count


def write(folder: Path, times: int) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(film(36 // times, times)):
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    return folder


def test_init_tells_of_parts_that_were_filmed_several_times_and_not_of_others(tmp_path: Path) -> None:
    def told(times: int) -> str:
        return " ".join(findings(survey(str(write(tmp_path / str(times), times))), [(48, 48)], 48))

    said = told(3)
    assert re.search("as if 36 pictures showed ([89]|1[0-4]) parts", said)
    named = re.search(rf"look at {tmp_path}/3/(\d+).png and {tmp_path}/3/(\d+).png. Do they show one part", said)
    assert named
    assert int(named[1]) // 3 == int(named[2]) // 3, "two pictures of one part"
    assert "set `bursts: false`" in said
    assert "bursts" not in told(1)


@pytest.mark.parametrize(("times", "again", "is_set"), [(3, True, True), (3, False, False), (1, True, False)])
def test_init_sets_it_where_whoever_collected_the_pictures_says_so_and_they_look_so(
    tmp_path: Path, times: int, again: bool, is_set: bool
) -> None:
    folder = write(tmp_path / "parts/train/good", times)
    save_collected(tmp_path / "parts", Collected(may_show_a_part_again=again))
    for named in (tmp_path / "parts", folder):
        written = advise(survey(str(named))).as_yaml("parts", str(named))
        assert yaml.safe_load(written).get("bursts", False) is is_set
        assert "Do they show one part several times" not in written or not again
