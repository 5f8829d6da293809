"""The live page's pictures, as its router gives them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from runtime.evidence.overlay import LONGEST_SIDE
from runtime.monitoring.health import CameraHealth
from runtime.monitoring.live_view import LiveView
from runtime.view.live_page import _state, live_router
from tests.runtime.monitoring.test_health import WELL
from tests.runtime.part_pictures import part_picture


@pytest.mark.parametrize("kind", ["plain", "map"])
def test_a_picture_that_no_jpeg_can_hold_is_refused_in_words_and_shown_where_it_is_to_be_no_wider(kind: str) -> None:
    display, shown = LiveView(), part_picture(1)
    long = np.zeros((4, LONGEST_SIDE + 1, 3), np.uint8)  # as of a line camera
    display.show(replace(shown, part=replace(shown.part, picture=lambda: long)))
    nothing: Any = None
    router = live_router(display, nothing, None, nothing, None)
    (picture,) = [route.endpoint for route in router.routes if "/{which}/" in route.path]  # type: ignore[attr-defined]
    whole, narrow = picture("top", "last", kind), picture("top", "last", kind, 960)
    assert (whole.status_code, b"has 65501 x 4; ask for it by `width`" in whole.body) == (404, True)
    assert (narrow.status_code, narrow.media_type) == (200, "image/jpeg")


def test_pictures_of_a_shape_that_none_trained_are_a_warning_and_no_reason_not_to_be_ready() -> None:
    unlike = "are squeezed, 1.78 times as wide as high, and what trained 1.33; give the camera a `roi`"
    camera = CameraHealth("streaming", {}, 0, drifts=False, unlike=unlike)
    state = _state(replace(WELL, cameras={"top": camera}), LiveView(), None, {})
    (warning,) = state["warnings"]
    assert warning == f"pictures of top {unlike}"
    assert state["problems"] == []


def test_a_camera_at_work_with_a_reason_is_a_warning_too() -> None:
    camera = CameraHealth("streaming", {}, 0, drifts=False, reason="judged pictures cannot be moved")
    state = _state(replace(WELL, cameras={"top": camera}), LiveView(), None, {})
    assert (state["warnings"], state["problems"]) == (["camera top: judged pictures cannot be moved"], [])
