"""What `train-model init` says of generated pictures, and that `train-model` can read what it writes."""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from core.config import load_settings
from core.errors import DataError
from core.thresholds import parts_needed
from tests.pictures import read_picture
from training.cli import train_model
from training.looking.advice import Advice, advise
from training.looking.findings import findings
from training.looking.survey import Picture, Survey, survey
from training.settings import TrainingSettings


def part(seed: int, length: int = 120, breadth: int = 40, size: tuple[int, int] = (200, 200)) -> np.ndarray:
    """A blue part on green, turned and moved at random; (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    picture = np.full((*size, 3), (40, 120, 40), np.uint8)
    middle = np.array(size[::-1]) / 2 + rng.uniform(-15, 15, 2)
    corners = cv2.boxPoints((tuple(middle), (length, breadth), rng.uniform(0, 180)))
    cv2.fillPoly(picture, [corners.round().astype(np.int32)], (200, 80, 58))
    return np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)


def texture(seed: int) -> np.ndarray:
    """What fills the picture to its border, as a sheet of metal does."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(120, 20, (96, 96, 1)).repeat(3, axis=2), 0, 255).astype(np.uint8)


def write(folder: Path, draw: Callable[[int], np.ndarray], count: int = 12, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + count):
        cv2.imwrite(str(folder / f"{seed:03}.png"), draw(seed))
    return folder


def advice_for(data: Path, bits: int | None = None) -> tuple[Advice, str]:
    """The advice, and its words with the lines joined."""
    advice = advise(survey(str(data), None, bits))
    return advice, advice.as_yaml("part", str(data)).replace("\n# ", " ").replace("\n  # ", " ")


def settings(advice: Advice, tmp_path: Path) -> TrainingSettings:
    path = tmp_path / "config.yaml"
    path.write_text(advice.as_yaml("part", "pictures"), encoding="utf-8")
    return load_settings(path, TrainingSettings)


def test_parts_that_turn_are_cut_out_with_a_margin_and_give_the_input_their_shape(tmp_path: Path) -> None:
    advice, words = advice_for(write(tmp_path / "parts", part))
    network = settings(advice, tmp_path).network
    assert network.part_size is not None
    assert network.part_size == pytest.approx((128, 44), abs=8)
    assert (network.height, network.width) == (216, 648)
    assert "A part was found in 12 of 12 pictures" in words


@pytest.mark.parametrize(("count", "told"), [(30, True), (100, False)])
def test_what_few_pictures_cost_is_told(tmp_path: Path, count: int, told: bool) -> None:
    words = advice_for(write(tmp_path / "parts", texture, count))[1]
    assert (f"{count} good pictures are few" in words) == told


def test_a_region_that_is_given_is_looked_at_alone_and_stands_in_the_configuration(tmp_path: Path) -> None:
    def beside_a_bright_rail(seed: int) -> np.ndarray:
        return np.hstack([part(seed), np.full((part(seed).shape[0], 60, 3), 255, np.uint8)])

    height, width = part(0).shape[:2]
    advice = advise(survey(str(write(tmp_path / "parts", beside_a_bright_rail)), (0, 0, width, height)))
    network = settings(advice, tmp_path).network
    assert network.roi == (0, 0, width, height)
    assert network.part_size == pytest.approx((128, 44), abs=8)


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (lambda seed: cv2.circle(part(seed, 8, 8), (100, 100), 50, (60, 60, 60), -1), "no long axis"),
        (lambda seed: part(seed, 400, 60), "runs off the picture"),
        (lambda seed: np.tile(part(seed, 400, 60, (200, 100)), (1, 2, 1)), "runs off the picture"),
        (lambda seed: np.hstack([part(seed), part(seed + 1, 110, 36)]), "nearly as large lies next to"),
        (lambda seed: part(seed, 60 + 3 * seed, 40), "the lengths that are found differ by"),
        (lambda seed: np.full((96, 96, 3), 100 + seed, np.uint8), "in 12 of 12 pictures nothing differs in colour"),
    ],
    ids=["a disc", "runs off", "a texture", "two a picture", "of many sizes", "nothing there"],
)
def test_what_cannot_be_turned_is_left_as_it_is_with_the_reason(
    draw: Callable[[int], np.ndarray], reason: str, tmp_path: Path
) -> None:
    advice, words = advice_for(write(tmp_path / "parts", draw))
    assert advice.pose is None
    assert settings(advice, tmp_path).network.part_size is None
    assert reason in words


@pytest.mark.parametrize(
    ("shape", "size"),
    [((300, 300), (216, 216)), ((300, 400), (216, 288)), ((400, 300), (288, 216)), ((100, 1000), (216, 2160))],
)
def test_the_input_has_the_pictures_shape(shape: tuple[int, int], size: tuple[int, int], tmp_path: Path) -> None:
    advice, _ = advice_for(write(tmp_path / "parts", lambda seed: cv2.resize(texture(seed), shape[::-1])))
    network = settings(advice, tmp_path).network
    assert (network.height, network.width) == size


@pytest.mark.parametrize(("shape", "size"), [((300, 300), (192, 192)), ((300, 400), (192, 255))])
def test_the_fast_form_is_that_of_the_example_at_eight_ninths_of_the_recipes_size(
    shape: tuple[int, int], size: tuple[int, int], tmp_path: Path
) -> None:
    data = write(tmp_path / "parts", lambda seed: cv2.resize(texture(seed), shape[::-1]))
    written = settings(advise(survey(str(data)), is_fast=True), tmp_path)
    example = load_settings(Path("configs/fast.yaml"), TrainingSettings)
    assert (written.network.height, written.network.width) == size
    same = {"height": example.network.height, "width": example.network.width}
    assert written.network.model_copy(update=same) == example.network
    assert written.score == example.score


def test_ordinary_pictures_need_nothing_but_name_data_and_output(tmp_path: Path) -> None:
    advice, words = advice_for(write(tmp_path / "parts", texture, 30))
    assert set(yaml.safe_load(advice.as_yaml("part", "pictures"))) == {"name", "data", "output"}
    assert "nothing to test with" in words
    assert not any(warning in words for warning in ("ATTENTION", "Brightness", "more than once", "cannot be read"))
    assert not advice.attention


@pytest.mark.parametrize("count", [3, 5, 12, 20])
def test_few_pictures_get_a_rate_that_they_can_promise_even_where_some_are_odd(count: int, tmp_path: Path) -> None:
    advice, words = advice_for(write(tmp_path / "parts", texture, count))
    chosen = settings(advice, tmp_path)
    assert parts_needed(chosen.false_reject_rate) <= max(3, 0.9 * count)
    assert 0.05 < chosen.false_reject_rate <= 0.25
    assert chosen.folds == min(4, count)
    assert f"{count} good pictures" in words
    assert "The fewest are 22 for 5% and 110 for 1%; have about five times as many." in words
    told = next(line for line in advice.attention if "false_reject_rate" in line)
    assert told.startswith(f"ATTENTION: `false_reject_rate: {chosen.false_reject_rate}`. {count} good pictures are too")


def test_fewer_than_any_training_takes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 good pictures are too few"):
        advice_for(write(tmp_path / "parts", texture, 2))


def test_of_files_that_do_not_use_their_sixteen_bits_somebody_has_to_say_how_many_there_are(tmp_path: Path) -> None:
    dark = write(tmp_path / "dark", lambda seed: texture(seed).astype(np.uint16) * 12)
    with pytest.raises(DataError, match=r"12 files keep 16 bits, and no value is above \d+ of 65535.*`--bits 12`"):
        survey(str(dark))
    for bits in (12, 16):
        told, words = advice_for(dark, bits)
        assert settings(told, tmp_path).network.bits == bits
        assert ("ATTENTION: the files keep 16 bits, and what they show lies as" in words) == (bits == 16)
    # A test picture tells of the depth too.
    write(tmp_path / "both" / "train" / "good", lambda seed: texture(seed).astype(np.uint16) * 12)
    write(tmp_path / "both" / "test" / "good", lambda seed: texture(seed).astype(np.uint16) * 200, 2)
    assert survey(str(tmp_path / "both")).bits == 16
    assert survey(str(write(tmp_path / "full", lambda seed: texture(seed).astype(np.uint16) * 100))).bits == 16


def test_brightness_that_differs_between_folders_is_told(tmp_path: Path) -> None:
    write(tmp_path / "parts" / "monday", texture, 10)
    write(
        tmp_path / "parts" / "tuesday", lambda seed: cv2.add(texture(seed), np.full((96, 96, 3), 30, np.uint8)), 10, 10
    )
    words = advice_for(tmp_path / "parts")[1]
    assert "Brightness differs between folders" in words
    assert "monday, 150 in" in words


def test_brightness_that_drifts_over_the_files_is_told(tmp_path: Path) -> None:
    ageing = write(
        tmp_path / "parts", lambda seed: np.clip(texture(seed) * (1 - seed / 100), 0, 255).astype(np.uint8), 40
    )
    words = advice_for(ageing)[1]
    assert "in the order of the files:" in words
    assert "of 255 in files 31 to 40," in words


def test_few_pictures_whose_brightness_is_by_chance_have_no_drift() -> None:
    rng = np.random.default_rng(0)

    def told(count: int) -> bool:
        levels = rng.normal(120, 15, count)
        parts = zip(levels, rng.normal(size=(count, 16)).astype(np.float32), strict=True)
        detail = np.zeros(64, np.float16)
        good = tuple(
            Picture(Path("a.png"), (96, 96), level, None, None, look, detail, str(level)) for level, look in parts
        )
        found = Survey("parts", good, (), (), (), (), ())
        return any("Brightness" in line for line in findings(found, [(96, 96)], 216))

    for count in (20, 31, 60):
        assert sum(told(count) for _ in range(200)) <= 10


def test_pictures_that_are_all_the_same_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 good pictures that differ are too few"):
        advice_for(write(tmp_path / "parts", lambda _: texture(0)))


@pytest.mark.parametrize(
    ("shape", "size"),
    [((30, 900), (72, 2160)), ((900, 30), (2160, 72)), ((80, 480), (216, 1296)), ((2, 3000), (72, 6480))],
)
def test_very_long_parts_are_judged_at_a_cost_within_bounds(
    shape: tuple[int, int], size: tuple[int, int], tmp_path: Path
) -> None:
    def sheet(seed: int) -> np.ndarray:
        return np.random.default_rng(seed).integers(100, 140, (*shape, 3), dtype=np.uint8)

    advice, words = advice_for(write(tmp_path / "parts", sheet))
    network = settings(advice, tmp_path).network
    assert (network.height, network.width) == size
    assert ("So long a part is judged at" in words) == (min(size) < 216)
    assert ("pixels across, and is enlarged" in words) == (min(shape) <= 30)


def test_pictures_of_another_shape_are_named(tmp_path: Path) -> None:
    good = write(tmp_path / "parts", texture)
    write(good, lambda seed: texture(seed)[:48], count=2, first=40)
    *_, head, one, other, _too_few = advice_for(good)[0].attention
    assert head.startswith("ATTENTION: the pictures differ in shape (1.00 to 2.00 times")
    assert [one, other] == [f"- {good / f'{number:03}.png'}, 96 x 48" for number in (40, 41)]


def test_unreadable_files_are_named_and_the_others_counted(tmp_path: Path) -> None:
    good = write(tmp_path / "parts", texture, 30)
    (good / "a.png").write_bytes(b"\x89PNG broken")
    advice, words = advice_for(good)
    assert "30 good pictures of 96 x 96" in words
    assert f"- {good / 'a.png'}: not a whole picture" in words
    assert advice.attention[-1].startswith(f"- {good / 'a.png'}: not a whole picture"), "and on the terminal"


def test_a_file_name_cannot_break_out_of_its_comment(tmp_path: Path) -> None:
    good = write(tmp_path / "parts", texture)
    (good / "a\nfolds: 1\u2028seed: 7\x07.png").write_bytes(b"")
    chosen = settings(advice_for(good)[0], tmp_path)
    assert (chosen.seed, chosen.folds) == (0, 4)


def test_a_folder_with_a_test_but_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "parts", texture)
    write(tmp_path / "parts" / "test" / "scratch", texture)
    with pytest.raises(DataError, match="has a folder `test` but no train/good"):
        advice_for(tmp_path / "parts")


def test_the_command_writes_a_file_and_a_sheet_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, config = write(tmp_path / "my pärts $1", part, 12), tmp_path / "new" / "config.yaml"

    def run() -> int:
        monkeypatch.setattr(sys, "argv", ["train-model", "init", str(data), "--output", str(config)])
        with pytest.raises(SystemExit) as end:
            train_model()
        return int(end.value.code or 0)

    assert run() == 0
    written = config.read_text(encoding="utf-8")
    assert load_settings(config, TrainingSettings).name == "my-parts-1"
    assert read_picture(config.with_suffix(".png")).shape[0] > 300
    told = capsys.readouterr().out
    assert "ATTENTION: `false_reject_rate: 0.1`. 12 good pictures are too few" in told
    assert f"next: train-model {config}" in told
    assert run() == 2
    assert f"{config}: exists already" in capsys.readouterr().err
    assert config.read_text(encoding="utf-8") == written


def test_several_folders_are_surveyed_together_and_the_file_names_their_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected, marked = write(tmp_path / "collected", texture), write(tmp_path / "marked/train/good", texture, 7, 90)
    write(tmp_path / "marked/test/bad", texture, 2, 200)
    config = tmp_path / "my-part-2.yaml"
    folders = str(collected), str(marked.parents[1])
    monkeypatch.setattr(sys, "argv", ["train-model", "init", *folders, "--output", str(config)])
    with pytest.raises(SystemExit) as end:
        train_model()
    assert not end.value.code
    found = load_settings(config, TrainingSettings)
    assert (found.name, found.data, found.output) == ("my-part-2", folders, "runs/my-part-2")
    words = config.read_text(encoding="utf-8")
    assert "19 good pictures" in words
    assert "2 bad" in words
