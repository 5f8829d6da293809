"""The report's page, in a browser."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from assessment.page import page, table
from core.pictures.picture import as_bgr_u8
from core.pictures.picture_file import decode
from tests.runtime.browser import CHROMIUM, chromium

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = [pytest.mark.machine, pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")]


def test_a_table_that_goes_on_beyond_the_screen_says_so_by_a_shadow_there() -> None:
    content = page("a test", [table(["kind", *("rejected of all",) * 9], [["scratch", *("6 (100%)",) * 9]])])
    sides = {}
    with chromium() as browser:
        for width, left in ((390, 0), (390, 9999), (1440, 0)):
            shown = browser.new_page(viewport={"width": width, "height": 500})
            shown.set_content(content)
            wide = shown.locator(".wide")
            wide.evaluate("(element, left) => element.scrollTo(left, 0)", left)
            pixels: NDArray[np.uint8] = as_bgr_u8(decode(wide.screenshot()))
            sides[width, left] = tuple(bool(np.median(pixels[:, side]) < 235) for side in (1, -2))
    assert sides == {(390, 0): (False, True), (390, 9999): (True, False), (1440, 0): (False, False)}
