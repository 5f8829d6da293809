import pytest

from core.pictures.geometry import ModelInput, Pose

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


def test_models_that_see_alike_may_have_trained_on_other_shapes() -> None:
    assert ModelInput(8, 8, aspects=(1.33,)) == ModelInput(8, 8)
