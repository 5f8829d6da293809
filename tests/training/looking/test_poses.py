"""How parts lie: round ones are turned after a picture of one, where what is on them tells how they lie."""

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from core.config import parse_settings
from core.datasets.dataset import training_samples
from core.datasets.frames import read_frames
from core.errors import ConfigError
from core.pictures.geometry import UPRIGHT_CHARACTERS
from tests.core.pictures.test_upright import bar, cap
from tests.training.looking.test_advice import part
from training.looking.advice import advise
from training.looking.survey import survey
from training.looking.upright import with_upright_read
from training.settings import TrainingSettings

CAPS = {"name": "caps", "data": "caps", "output": "runs/caps"}


def filmed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def caps(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    shift = int(rng.integers(-20, 20)), int(rng.integers(-20, 20))
    return filmed(cap(float(rng.uniform(-180, 180)), shift=shift), rng)


def caps_that_lie_alike(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    return filmed(cap(float(rng.uniform(-3, 3))), rng)


def squares(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    corners = cv2.boxPoints(((130, 130), (110, 110), float(rng.uniform(-180, 180))))
    picture = cv2.fillPoly(np.full((260, 260, 3), 200, np.uint8), [np.rint(corners).astype(int)], (60, 70, 80))
    return filmed(picture, rng)


def balls(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    picture = np.full((260, 260, 3), 30, np.uint8)
    cv2.circle(picture, (130, 130), 88, (150, 155, 160), -1, cv2.LINE_AA)
    for _ in range(30):
        reach, angle = 70 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        spot = round(130 + reach * np.cos(angle)), round(130 + reach * np.sin(angle))
        cv2.circle(picture, spot, 6, (90, 95, 100), -1, cv2.LINE_AA)
    return filmed(picture, rng)


def write(folder: Path, draw: Callable[[int], np.ndarray]) -> Path:
    (folder / "good").mkdir(parents=True)
    for number in range(12):
        cv2.imwrite(str(folder / "good" / f"{number:02}.png"), draw(number))
    return folder


@pytest.mark.parametrize(("draw", "side"), [(caps, 187), (squares, 163)])
def test_round_parts_with_a_print_and_square_ones_are_turned_after_one_of_them(
    draw: Callable[[int], np.ndarray], side: int, tmp_path: Path
) -> None:
    data = write(tmp_path / "caps", draw)
    advice = advise(survey(str(data)))
    content = yaml.safe_load(advice.as_yaml("caps", str(data)))
    assert Path(content["network"]["upright"]).parent == data / "good"
    assert content["network"]["part_size"] == pytest.approx([side, side], abs=8)
    settings = with_upright_read(parse_settings(content, TrainingSettings, "caps"))
    assert len(settings.network.upright or "") == UPRIGHT_CHARACTERS
    assert with_upright_read(settings) is settings  # it is read once
    frames = read_frames(training_samples(str(data)), settings.network.input).bgr_u8.astype(int)
    turned_away = np.abs(frames - np.median(frames, axis=0)).mean(axis=(1, 2, 3))
    assert turned_away.max() < 8  # they lie alike; as they were filmed, 15 to 20


@pytest.mark.parametrize(("draw", "reason"), [(caps_that_lie_alike, "none lies at another"), (balls, "like the most")])
def test_round_parts_that_need_no_turning_or_show_no_angle_stay_as_they_are(
    draw: Callable[[int], np.ndarray], reason: str, tmp_path: Path
) -> None:
    advice = advise(survey(str(write(tmp_path / "parts", draw))))
    assert advice.pose is None
    assert reason in " ".join(advice.findings)


@pytest.mark.parametrize(("is_fast", "sides"), [(False, (216, 288)), (True, (192, 255))])
def test_where_cut_outs_are_wrong_what_is_to_be_done_instead_gives_the_whole_picture(
    is_fast: bool, sides: tuple[int, int], tmp_path: Path
) -> None:
    def on_wide_pictures(seed: int) -> np.ndarray:
        return cv2.copyMakeBorder(caps(seed), 0, 0, 40, 40, cv2.BORDER_REPLICATE)

    data = str(write(tmp_path / "caps", on_wide_pictures))
    advice = advise(survey(data), is_fast)
    (reason,) = (one.reason for one in advice.network if one.key == "part_size")
    told = reason.split("where the cut-outs are wrong, delete ")[1]
    gone, instead = told.split(", and have ")
    network = yaml.safe_load(advice.as_yaml("caps", data))["network"]
    for key in re.findall(r"`(\w+)`", gone):
        del network[key]
    for key, pixels in re.findall(r"`(\w+): (\d+)`", instead):
        network[key] = int(pixels)
    settings = parse_settings(CAPS | {"data": data, "network": network}, TrainingSettings, "caps")
    assert (settings.network.height, settings.network.width) == sides


def test_a_picture_that_shows_nothing_upright_is_refused_with_its_name(tmp_path: Path) -> None:
    data = write(tmp_path / "caps", caps)
    for name, picture in (("none.png", None), ("grey.png", np.full((260, 260, 3), 90, np.uint8))):
        if picture is not None:
            cv2.imwrite(str(tmp_path / name), picture)
        network = {"part_size": [190, 190], "upright": str(tmp_path / name)}
        settings = parse_settings(CAPS | {"data": str(data), "network": network}, TrainingSettings, "caps")
        with pytest.raises(ConfigError, match=rf"`network.upright`: .*{name}"):
            with_upright_read(settings)


def test_upright_without_a_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="upright needs part_size"):
        parse_settings(CAPS | {"network": {"upright": "a.png"}}, TrainingSettings, "caps")


@pytest.mark.parametrize("has_print", [True, False])
def test_long_parts_get_an_upright_picture_where_their_ends_are_alike_and_a_print_tells(
    has_print: bool, tmp_path: Path
) -> None:
    def bars(number: int) -> np.ndarray:
        rng = np.random.default_rng(number)
        return filmed(bar(float(rng.uniform(-180, 180)), has_print), rng)

    content = yaml.safe_load(advise(survey(str(write(tmp_path / "bars", bars)))).as_yaml("bars", "bars"))
    assert content["network"]["part_size"] == pytest.approx([192, 66], abs=10)
    assert ("upright" in content["network"]) == has_print


@pytest.mark.parametrize("are_bright", [True, False])
def test_pieces_of_a_part_that_would_be_cut_away_are_told(are_bright: bool, tmp_path: Path) -> None:
    """Between a dark body and bright pins lies a line of the background's grey: the pins are found apart."""

    def connectors(number: int) -> np.ndarray:
        rng = np.random.default_rng(number)
        picture = np.full((220, 420, 3), 110, np.uint8)
        left, top = int(rng.integers(70, 110)), int(rng.integers(70, 90))
        cv2.rectangle(picture, (left, top), (left + 240, top + 60), (30, 30, 30), -1)
        for pin in range(left + 15, left + 225, 29):
            cv2.rectangle(picture, (pin, top - 20), (pin + 12, top), (210 if are_bright else 30,) * 3, -1)
        return filmed(picture, rng)

    advice = advise(survey(str(write(tmp_path / "connectors", connectors))))
    assert advice.pose is not None
    assert (advice.pose.size[1] < 70) == are_bright
    assert any("what is cut away is not judged" in line for line in advice.attention) == are_bright


@pytest.mark.parametrize(("turn", "move", "is_cut"), [(2, 3, False), (180, 3, True), (2, 40, True)])
def test_what_lies_beside_a_part_is_cut_away_only_where_parts_turn_or_move(
    turn: float, move: float, is_cut: bool, tmp_path: Path
) -> None:
    def transistors(number: int) -> np.ndarray:
        rng = np.random.default_rng(number)
        picture = np.full((300, 300, 3), 120, np.uint8)
        cv2.rectangle(picture, (90, 110), (210, 170), (30, 30, 30), -1)
        for leg in (105, 145, 185):
            cv2.rectangle(picture, (leg, 180), (leg + 12, 220), (215, 215, 215), -1)
        moved = np.asarray(cv2.getRotationMatrix2D((150, 150), float(rng.uniform(-turn, turn)), 1), float)
        moved[:, 2] += rng.uniform(-move, move, 2)
        return filmed(cv2.warpAffine(picture, moved, (300, 300), borderMode=cv2.BORDER_REPLICATE), rng)

    advice = advise(survey(str(write(tmp_path / "transistors", transistors))))
    assert (advice.pose is not None) == is_cut
    assert any("they lie alike" in line for line in advice.findings) != is_cut


@pytest.mark.parametrize(("steady", "is_cut"), [(True, False), (False, True)])
def test_a_small_thing_beside_parts_that_lie_alike_belongs_to_them_where_all_have_it(
    steady: bool, is_cut: bool, tmp_path: Path
) -> None:
    """A sprue that stands off: cut away, a longer one would pass. Dirt is now large and now small."""

    def moulded(number: int) -> np.ndarray:
        rng = np.random.default_rng(number)
        picture = np.full((300, 300, 3), 200, np.uint8)
        left, top = 60 + int(rng.integers(-4, 5)), 120 + int(rng.integers(-4, 5))
        cv2.rectangle(picture, (left, top), (left + 150, top + 60), (60, 60, 60), -1)
        long = 14 if steady else int(rng.integers(1, 14))
        cv2.rectangle(picture, (left + 165, top + 26), (left + 165 + long, top + 34), (60, 60, 60), -1)
        return filmed(picture, rng)

    advice = advise(survey(str(write(tmp_path / "moulded", moulded))))
    assert (advice.pose is not None) == is_cut
    assert any("they lie alike" in line for line in advice.findings) != is_cut


@pytest.mark.parametrize(("times", "is_told"), [(2.0, True), (1.0, False)])
def test_parts_that_are_larger_in_other_pictures_are_told(times: float, is_told: bool, tmp_path: Path) -> None:
    def two_sizes(number: int) -> np.ndarray:
        small = part(number)
        if number % 5:
            return small
        larger = cv2.resize(small, None, fx=times, fy=times)
        return cv2.copyMakeBorder(larger, 10, 10, 10, 10, cv2.BORDER_REPLICATE)

    told = " ".join(advise(survey(str(write(tmp_path, two_sizes) / "good"))).findings)
    assert ("They are cut out at one size in pixels" in told) == is_told
    assert not is_told or re.search(r"are 1[12]\d pixels long in pictures of 200 x 200, and 2[34]\d in those", told)
