import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pictures.geometry import OTHER_SHAPE, ModelInput, Pose

ROI, POSE = (0, 0, 40, 30), Pose((60, 20))


@pytest.mark.parametrize(
    ("seen", "width", "height", "told"),
    [
        (ModelInput(8, 8), 1920, 1080, ""),
        (ModelInput(8, 8, aspects=(1.33,)), 1280, 960, ""),
        (ModelInput(8, 8, aspects=(1.33,)), 1280, 1024, ""),
        (ModelInput(8, 8, aspects=(1.33,)), 1920, 1080, "1.78 times as wide as high, and what trained 1.33"),
        (ModelInput(8, 8, aspects=(1.33,)), 960, 1280, "0.75 times as wide as high, and what trained 1.33"),
        (ModelInput(8, 8, aspects=(0.75, 1.33)), 960, 1280, ""),
        (ModelInput(8, 8, aspects=(0.75, 1.33)), 900, 900, "1 times as wide as high, and what trained 1.33"),
        (ModelInput(8, 8, roi=ROI, aspects=(1.33,)), 1920, 1080, ""),
        (ModelInput(8, 8, POSE, aspects=(3.0,)), 1920, 1080, ""),
        (ModelInput(8, 8, POSE, aspects=(3.0,)).without_cut, 60, 20, ""),
    ],
)
def test_a_picture_is_told_apart_whose_shape_is_none_that_trained(
    seen: ModelInput, width: int, height: int, told: str
) -> None:
    assert seen.other_shape(width, height) == told


@given(
    st.lists(st.floats(0.1, 10).map(lambda value: float(f"{value:.3g}")), min_size=1),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_of_many_shapes_the_nearest_is_told(known: list[float], width: int, height: int) -> None:
    apart = min(max(width / height / aspect, aspect / (width / height)) for aspect in known)
    told = ModelInput(8, 8, aspects=tuple(sorted(set(known)))).other_shape(width, height)
    assert bool(told) == (apart > OTHER_SHAPE) or abs(apart - OTHER_SHAPE) < 0.01  # three digits are kept
    if told:
        nearest = float(told.rsplit(" ", 1)[1])
        assert max(width / height / nearest, nearest / (width / height)) == pytest.approx(apart, rel=0.01)


def test_models_that_see_alike_may_have_trained_on_other_shapes() -> None:
    assert ModelInput(8, 8, aspects=(1.33,)) == ModelInput(8, 8)
