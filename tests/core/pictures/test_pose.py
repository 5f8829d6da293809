"""A part that lies at any angle looks the same once it is cut out."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.datasets.dataset import Sample
from core.datasets.frames import read_frames, read_mask
from core.errors import PartNotFoundError
from core.pictures.geometry import ModelInput, Pose
from core.pictures.picture import fit
from core.pictures.pose import cut_out, locate, outline

SIZE = (180, 60)
"""A little more than the nail's length and breadth."""


def nail(angle_degrees: float = 0, shift: tuple[float, float] = (0, 0), background: int = 200) -> np.ndarray:
    """A nail with a broad head and a mark near its tip, (320, 320, 3)."""
    picture = np.full((320, 320, 3), background, np.uint8)
    cv2.rectangle(picture, (80, 140), (95, 180), (60, 60, 60), -1)
    cv2.rectangle(picture, (95, 152), (240, 168), (90, 90, 90), -1)
    cv2.rectangle(picture, (215, 152), (225, 168), (20, 20, 20), -1)
    turn = cv2.getRotationMatrix2D((160, 160), angle_degrees, 1)
    turn[:, 2] += np.array(shift)
    return cv2.warpAffine(picture, turn, (320, 320), borderMode=cv2.BORDER_REPLICATE)


def upright(picture: np.ndarray) -> np.ndarray:
    return cut_out(picture, locate(picture, Pose(SIZE)), SIZE)


@given(st.floats(-180, 180), st.floats(-25, 25), st.floats(-25, 25), st.sampled_from([0, 200, 255]))
@settings(max_examples=30, deadline=None)
def test_turning_and_moving_a_part_does_not_change_its_cut_out(
    angle: float, right: float, down: float, background: int
) -> None:
    straight = upright(nail(background=background)).astype(int)
    assert np.abs(upright(nail(angle, (right, down), background)) - straight).mean() < 8


def test_the_heavy_end_comes_left_and_the_part_lies_in_the_middle() -> None:
    cut = upright(nail(137))
    assert cut.shape == (60, 180, 3)
    dark_rows, dark_columns = np.nonzero(cut[:, :, 0] < 150)
    assert abs(dark_rows.mean() - 29.5) < 2
    breadth = (cut[:, :, 0] < 150).sum(axis=0)
    assert breadth[:40].max() > 1.5 * breadth[60:].max()
    assert abs((dark_columns.min() + dark_columns.max()) / 2 - 89.5) < 2


def test_a_camera_of_higher_resolution_gives_the_part_at_its_resolution() -> None:
    large = np.asarray(cv2.resize(nail(30), None, fx=3, fy=3), np.uint8)
    size = (3 * SIZE[0], 3 * SIZE[1])
    cut = cut_out(large, locate(large, Pose(size)), size)
    assert np.abs(cv2.resize(cut, SIZE, interpolation=cv2.INTER_AREA).astype(int) - upright(nail(30))).mean() < 8


def test_the_middle_is_found_to_the_pixel_in_a_large_picture() -> None:
    picture = np.full((1200, 2400, 3), 200, np.uint8)
    picture[500:620, 700:1900] = 60
    picture[460:660, 700:760] = 60
    part_size = (1300, 260)
    middle = locate(picture, Pose(part_size)) @ [(part_size[0] - 1) / 2, (part_size[1] - 1) / 2, 1]
    assert middle == pytest.approx([1299.5, 559.5], abs=2.0)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)],
    ids=["black", "white"],
)
def test_a_picture_without_contrast_has_no_part(picture: np.ndarray) -> None:
    with pytest.raises(PartNotFoundError, match="of one colour"):
        locate(picture, Pose(SIZE))


def test_a_blue_part_on_green_of_the_same_grey_is_found() -> None:
    grey = nail(40)[:, :, :1] < 150
    coloured = np.where(grey, np.array([200, 80, 58], np.uint8), np.array([40, 120, 40], np.uint8))
    assert cv2.cvtColor(coloured, cv2.COLOR_BGR2GRAY).std() < 1
    cut = upright(coloured)
    np.testing.assert_allclose(locate(coloured, Pose(SIZE)), locate(nail(40), Pose(SIZE)), atol=1)
    assert (cut[:, :, 0] > 120).sum(axis=0)[:30].max() > 35


def test_the_outline_of_a_part_is_measured_in_pixels_of_the_frame() -> None:
    frame = np.full((900, 1200, 3), (40, 120, 40), np.uint8)
    frame[350:550, 200:1000] = (200, 80, 58)
    part = outline(frame)
    assert part.extents == pytest.approx((800, 200), abs=8)
    assert part.axis_ratio == pytest.approx(4, rel=0.05)
    assert part.share == pytest.approx(800 * 200 / (900 * 1200), rel=0.05)
    assert part.middle == pytest.approx([599.5, 449.5], abs=1)
    assert not part.touches_border


@pytest.mark.parametrize("angle", range(0, 180, 15))
def test_a_square_has_no_long_axis_however_it_lies(angle: int) -> None:
    square = np.full((300, 300, 3), 200, np.uint8)
    cv2.fillPoly(square, [cv2.boxPoints(((150, 150), (120, 120), angle)).astype(np.int32)], (40, 40, 160))
    assert outline(square).axis_ratio < 1.1


@pytest.mark.parametrize(("right", "down"), [(120, 0), (-120, 0), (0, 150), (0, -150)])
def test_a_part_that_runs_off_the_picture_touches_the_border_and_is_still_cut_out(right: int, down: int) -> None:
    picture = nail(0, (right, down))
    assert outline(picture).touches_border
    assert not outline(nail()).touches_border
    assert upright(picture).shape == (60, 180, 3)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_thin_and_tiny_pictures_have_a_place_or_no_part_but_never_another_error(
    height: int, width: int, longer: int, seed: int
) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    picture = np.repeat(picture, longer, axis=1)
    try:
        assert np.isfinite(locate(picture, Pose((4, 2)))).all()
    except PartNotFoundError as error:
        assert str(error).startswith("no part found")  # noqa: PT017


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (1, 1), (3, 5000)])
def test_a_thin_picture_is_named_as_such(shape: tuple[int, int]) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    picture[:, : shape[1] // 2] = 255
    with pytest.raises(PartNotFoundError, match=f"{shape[1]} x {shape[0]} pixels is too thin"):
        locate(picture, Pose(SIZE))


def test_dirt_is_no_part() -> None:
    picture = np.full((320, 320, 3), 200, np.uint8)
    cv2.circle(picture, (100, 100), 6, (0, 0, 0), -1)
    with pytest.raises(PartNotFoundError, match="a tenth of 180 x 60 pixels"):
        fit(picture, np.empty((30, 90, 3), np.uint8), pose=Pose(SIZE))


def test_a_mask_is_turned_as_its_picture_is(tmp_path: Path) -> None:
    picture = nail(71)
    cv2.imwrite(str(tmp_path / "part.png"), picture)
    cv2.imwrite(str(tmp_path / "part_mask.png"), (picture < 40).astype(np.uint8) * 255)
    sample = Sample(tmp_path / "part.png", "mark", tmp_path / "part_mask.png")
    frame = read_frames([sample], ModelInput(60, 180, Pose(SIZE))).bgr_u8[0]
    mask = read_mask(sample, ModelInput(60, 180, Pose(SIZE))).marked
    assert mask.sum() > 100
    assert frame[mask].mean() < 50


def test_a_picture_without_a_part_is_named_skipped_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "nail.png"), nail())
    cv2.imwrite(str(tmp_path / "nothing.png"), np.full((64, 64, 3), 128, np.uint8))
    frames = read_frames(
        [Sample(tmp_path / "nail.png"), Sample(tmp_path / "nothing.png")], ModelInput(30, 90, Pose(SIZE))
    )
    assert (len(frames.samples), frames.skipped) == (1, (tmp_path / "nothing.png",))
    assert "nothing.png: no part found" in capsys.readouterr().err
