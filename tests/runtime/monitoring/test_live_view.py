"""The display: which pictures are shown, and how often."""

from runtime.monitoring.live_view import SHOW_EVERY_S, LiveView
from runtime.parts.moment import Moment
from runtime.parts.part import Part
from runtime.parts.verdict import Reason
from tests.runtime.part_pictures import part_picture

PART = Part("top", Moment(1.8e9, 0.0), (48, 48), None, ())


def test_good_parts_are_shown_at_a_low_rate_and_failed_ones_always() -> None:
    now_s = 100.0
    display = LiveView(lambda: now_s)
    good, bad = part_picture(1, bad=False), part_picture(2)
    assert display.wants("top", good.judgement)
    display.show(good)
    assert not display.wants("top", good.judgement)
    assert display.wants("top", bad.judgement)
    display.show(bad)
    now_s += SHOW_EVERY_S
    assert display.wants("top", good.judgement)
    display.show(good)
    sight = display.views["top"]
    assert (sight.last, sight.rejected) == (good, bad)


def test_a_part_without_pixels_is_shown_without_a_picture_and_not_under_an_older_one() -> None:
    display = LiveView()
    display.show(part_picture(1, bad=False))
    broken = part_picture(2, faults=(Reason.UNREADABLE,))
    assert display.wants("top", broken.judgement)
    display.note(PART, broken.judgement, "t1")
    display.show(broken)
    seen = display.views["top"]
    assert seen.judgement == broken.judgement
    assert seen.last is seen.rejected is broken
    assert broken.part.pixels_bgr_u8 is None


def test_a_camera_that_gives_no_picture_leaves_the_last_rejected_one_to_be_seen() -> None:
    display = LiveView()
    blind, bad = part_picture(1, faults=(Reason.NO_FRAME,)), part_picture(2)
    display.show(blind)
    assert display.views["top"].rejected == blind
    display.show(bad)
    display.show(blind)
    assert (display.views["top"].last, display.views["top"].rejected) == (blind, bad)
