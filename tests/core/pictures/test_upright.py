"""Round parts, turned by what is on them."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.pictures.geometry import UPRIGHT_CHARACTERS, Pose
from core.pictures.pose import cut_out, locate, rings_upright
from core.pictures.upright import encoded

SIDE, ACROSS = 260, 190
INKS = [(60, 50, 190), (180, 90, 40), (20, 20, 20)]
Picture = NDArray[np.uint8]


def cap(degrees: float = 0, ink: tuple[int, int, int] = INKS[0], shift: tuple[int, int] = (0, 0)) -> Picture:
    """A round cap with a print, lying turned clockwise by so many degrees, on a dark ground."""
    picture = np.full((SIDE, SIDE, 3), 30, np.uint8)
    cv2.circle(picture, (130, 130), 88, (150, 155, 160), -1, cv2.LINE_AA)
    cv2.putText(picture, "PWA", (72, 142), cv2.FONT_HERSHEY_DUPLEX, 1.6, ink, 4, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((130, 130), -degrees, 1)
    turn[:, 2] += shift
    return np.asarray(cv2.warpAffine(picture, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def shown(picture: Picture) -> str:
    return encoded(rings_upright(picture, (ACROSS, ACROSS)))


UPRIGHT = shown(cap())


def degrees_found(picture: Picture, upright: str = UPRIGHT) -> float:
    place = locate(picture, Pose((ACROSS, ACROSS), upright))
    return float(np.degrees(np.arctan2(place[1, 0], place[0, 0])))


@settings(max_examples=25)
@given(degrees=st.floats(-180, 180), ink=st.sampled_from(INKS), x=st.integers(-30, 30), y=st.integers(-30, 30))
def test_a_print_tells_the_angle_in_any_dark_ink_wherever_the_part_lies(
    degrees: float, ink: tuple[int, int, int], x: int, y: int
) -> None:
    picture = cap(degrees, ink, (x, y))
    assert abs((degrees_found(picture) - degrees + 180) % 360 - 180) < 3
    cut = cut_out(picture, locate(picture, Pose((ACROSS, ACROSS), UPRIGHT)), (ACROSS, ACROSS))
    straight = cut_out(cap(0, ink), locate(cap(0, ink), Pose((ACROSS, ACROSS), UPRIGHT)), (ACROSS, ACROSS))
    assert np.abs(cut.astype(int) - straight).mean() < 8


@pytest.mark.parametrize("light", [0.6, 1.3])
def test_light_and_a_defect_do_not_turn_it(light: float) -> None:
    scratched = cap(70)
    cv2.line(scratched, (60, 100), (190, 180), (240, 240, 240), 5)
    assert degrees_found(np.clip(scratched * light, 0, 255).astype(np.uint8)) == pytest.approx(70, abs=2)


def test_a_part_that_looks_alike_every_way_lies_as_it_lies() -> None:
    plain = np.full((SIDE, SIDE, 3), 30, np.uint8)
    cv2.circle(plain, (130, 130), 88, (150, 155, 160), -1, cv2.LINE_AA)
    place = locate(plain, Pose((ACROSS, ACROSS), UPRIGHT))
    assert np.isfinite(place).all()
    assert np.abs(cut_out(plain, place, (ACROSS, ACROSS)).astype(int) - plain[35:225, 35:225]).mean() < 3


def test_what_is_on_it_is_written_in_so_many_characters() -> None:
    assert len(UPRIGHT) == UPRIGHT_CHARACTERS


def bar(degrees: float, has_print: bool = True) -> Picture:
    """A bar with two alike ends, printed near one of them, turned clockwise by so many degrees."""
    picture = np.full((SIDE, SIDE, 3), 30, np.uint8)
    cv2.rectangle(picture, (40, 100), (220, 160), (150, 155, 160), -1)
    if has_print:
        cv2.putText(picture, "PWA", (55, 142), cv2.FONT_HERSHEY_DUPLEX, 1.1, INKS[0], 3, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((130, 130), -degrees, 1)
    return np.asarray(cv2.warpAffine(picture, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE), np.uint8)


BAR = (200, 70)


@settings(max_examples=25)
@given(degrees=st.floats(-180, 180))
def test_of_a_long_part_with_alike_ends_the_print_says_which_comes_left(degrees: float) -> None:
    printed_left = encoded(rings_upright(bar(0), BAR))
    straight = cut_out(bar(0), locate(bar(0), Pose(BAR, printed_left)), BAR)
    cut = cut_out(bar(degrees), locate(bar(degrees), Pose(BAR, printed_left)), BAR)
    assert np.abs(cut.astype(int) - straight).mean() < 0.5 * np.abs(cut.astype(int) - straight[::-1, ::-1]).mean()


@settings(max_examples=25)
@given(degrees=st.floats(-180, 180))
def test_a_long_part_on_which_nothing_is_lies_as_its_outline_says(degrees: float) -> None:
    plain, upright = bar(degrees, has_print=False), encoded(rings_upright(bar(0), BAR))
    np.testing.assert_array_equal(locate(plain, Pose(BAR, upright)), locate(plain, Pose(BAR)))


@pytest.mark.parametrize("degrees", [0, 40, 180])
@pytest.mark.parametrize("falls", [-1, 1])
def test_light_that_falls_off_beside_a_long_part_does_not_say_which_end_comes_left(degrees: float, falls: int) -> None:
    def on_bright_ground(degrees: float, falls: float) -> Picture:
        """A bar that is darker than its ground, which is lit from one side of the picture."""
        part = bar(degrees) // 3
        slope = 200 + falls * np.linspace(-30, 30, SIDE)[None, :, None]
        return np.where(bar(degrees) > 45, part, slope).astype(np.uint8)

    printed_left = encoded(rings_upright(on_bright_ground(0, falls=0.7), BAR))
    place = locate(on_bright_ground(degrees, falls), Pose(BAR, printed_left))
    found = float(np.degrees(np.arctan2(place[1, 0], place[0, 0])))
    assert abs((found - degrees + 180) % 360 - 180) < 5


@pytest.mark.parametrize("degrees", [0, 180])
@pytest.mark.parametrize("heavy_end", [False, True])
def test_a_faint_likeness_tells_the_ends_apart_only_where_the_outline_does_not(degrees: float, heavy_end: bool) -> None:
    def lying(spots: int, degrees: float) -> Picture:
        picture = bar(0)
        for x, y in ((200, 115), (160, 147), (190, 145), (175, 115))[:spots]:
            cv2.circle(picture, (x, y), 16, INKS[0], -1)
        if heavy_end:
            cv2.rectangle(picture, (190, 90), (220, 170), (150, 155, 160), -1)
        turn = cv2.getRotationMatrix2D((130, 130), -degrees, 1)
        return np.asarray(cv2.warpAffine(picture, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE), np.uint8)

    printed = encoded(rings_upright(lying(0, 0), BAR))
    as_seen, turned = (locate(lying(4, degrees), Pose(BAR, upright)) for upright in (None, printed))
    if heavy_end:
        np.testing.assert_array_equal(turned, as_seen)
    else:
        np.testing.assert_allclose(turned, locate(lying(0, degrees), Pose(BAR, printed)), atol=2)
