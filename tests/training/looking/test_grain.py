"""Grain: of pictures that lie alike those that show a part again are left, and those of two plain parts are not."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from training.looking import grain
from training.looking.bursts import look_of
from training.looking.grain import IN_VAIN, SHARED, copies_among, own_grain_shared
from training.looking.survey import survey
from training.looking.twins import detail_of, twins_of

Frame = NDArray[np.uint8]
SIZE = 240


def washer(seed: int, degrees: float = 0.0) -> Frame:
    """A washer, or a square nut where it is turned, up to 5 pixels off its place, with noise; (SIZE, SIZE, 3)."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[:SIZE, :SIZE] - SIZE / 2 - rng.uniform(-5, 5, 2)[:, None, None]
    radius, angle = np.hypot(across, down), np.radians(rng.uniform(-degrees, degrees))
    x, y = across * np.cos(angle) - down * np.sin(angle), across * np.sin(angle) + down * np.cos(angle)
    far = np.maximum(abs(x), abs(y)) if degrees else radius
    shown = np.clip(80.5 - far, 0, 1) * np.clip(radius - 29.5, 0, 1)
    return noisy((60 + 100 * shown)[:, :, None].repeat(3, axis=2), seed)


def marked(seed: int) -> Frame:
    """A washer with faint marks of its own."""
    marks = cv2.resize(np.random.default_rng(seed).normal(0, 6, (80, 80)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return noisy(washer(seed) + marks[:, :, None], seed)


def noisy(shown: NDArray[np.floating], seed: int, levels: float = 2) -> Frame:
    noise = np.random.default_rng(1000 + seed).normal(0, levels, (SIZE, SIZE, 1))
    return np.asarray((shown + noise).round().clip(0, 255), np.uint8)


def jpeg(frame: Frame, quality: int) -> Frame:
    content = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


def filmed_aside(frame: Frame) -> Frame:
    aside = np.array([[1, 0, 0.8], [0, 1, 0.6]])
    moved = cv2.warpAffine(frame, aside, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT)
    return noisy(np.asarray(moved, np.float64), 7, 3)


@pytest.mark.parametrize("degrees", [0.0, 4.0])
def test_plain_parts_that_merely_lie_alike_are_left_out(degrees: float) -> None:
    frames = [washer(seed, degrees) for seed in range(60)]
    looks = [look_of(frame) for frame in frames]
    named = twins_of(looks, [detail_of(frame) for frame in frames], len(frames))
    assert len(named) >= 4, "they are to be told apart from copies"
    assert copies_among(named, looks, frames.__getitem__) == []


COPIES: dict[str, tuple[Callable[[int], Frame], Callable[[Frame], Frame]]] = {
    "as poor JPEG": (washer, lambda frame: jpeg(frame, 30)),
    "half as large": (washer, lambda frame: np.asarray(cv2.resize(frame, (120, 120)), np.uint8)),
    "larger": (washer, lambda frame: np.asarray(cv2.resize(frame, (333, 333)), np.uint8)),
    "brighter": (washer, lambda frame: np.asarray(np.clip(frame * 1.1 + 4, 0, 255), np.uint8)),
    "filmed again, aside": (marked, filmed_aside),
}


@pytest.mark.parametrize("way", COPIES)
def test_copies_are_left_in(way: str) -> None:
    draw, again = COPIES[way]
    frames = [draw(seed) for seed in range(20)]
    frames.append(again(frames[3]))
    looks = [look_of(frame) for frame in frames]
    assert copies_among([(3, 20), (5, 6)], looks, frames.__getitem__) == [(3, 20)]


def test_of_plain_parts_init_names_what_was_saved_again_and_nothing_else(tmp_path: Path) -> None:
    for place, seeds, copied in (("train/good", range(40), 4), ("test/good", range(200, 210), 9)):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        for seed in seeds:
            cv2.imwrite(str(folder / f"{seed:03}.png"), washer(seed))
        cv2.imwrite(str(folder / "copy.jpg"), washer(copied))
    found = survey(str(tmp_path))
    assert [(one.stem, again.stem) for one, again in found.twins] == [("004", "copy")]
    assert [(one.stem, again.path.stem) for one, again in found.trained_and_tested] == [("009", "copy")]


def test_the_region_alone_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("train/good", "test/good"):
        (tmp_path / place).mkdir(parents=True)
        for seed in range(3):
            cv2.imwrite(str(tmp_path / place / f"{seed}.png"), washer(len(place) * 10 + seed))
    seen: list[Frame] = []

    def look(_: object, looks: Sequence[object], frame_of: Callable[[int], Frame]) -> list[tuple[int, int]]:
        seen.extend(frame_of(index) for index in range(len(looks)))
        return []

    monkeypatch.setattr("training.looking.survey.copies_among", look)
    survey(str(tmp_path), roi=(20, 30, 100, 90))
    stored = [washer(len(place) * 10 + seed) for place in ("train/good", "test/good") for seed in range(3)]
    for frame, whole in zip(seen, stored, strict=True):
        np.testing.assert_array_equal(frame, whole[30:120, 20:120])


@pytest.mark.parametrize("copies", [0, 1])
def test_where_pairs_lie_alike_in_vain_those_that_lie_less_near_are_not_read(
    copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = iter([*[0.0] * (IN_VAIN - 1), *[1.0] * copies, *[0.0] * (2 * IN_VAIN)])
    monkeypatch.setattr(grain, "own_grain_shared", lambda *_: next(shares))
    looks = [np.array([k * k], np.float32) for k in range(4 * IN_VAIN)]
    pairs = [(k, k + 1) for k in range(3 * IN_VAIN)]
    read: list[int] = []

    def frame_of(index: int) -> Frame:
        read.append(index)
        return np.zeros((8, 8, 3), np.uint8)

    found = copies_among(pairs[::-1], looks, frame_of)
    assert found == [(IN_VAIN - 1, IN_VAIN)] * copies
    assert read[:2] == [0, 1], "the nearest first"
    assert read[-2:] == [2 * IN_VAIN - 1, 2 * IN_VAIN] if copies else [IN_VAIN - 1, IN_VAIN]


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 3), (3, 2, 3), (900, 5, 3)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_pictures_of_a_pixel_or_of_one_colour_share_nothing(shape: tuple[int, ...], level: int) -> None:
    flat = np.full(shape, level, np.uint8)
    assert own_grain_shared(flat, flat, [washer(0), flat]) <= SHARED
