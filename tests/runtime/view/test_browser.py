"""The pages under people's hands: a real browser clicks, types and swipes."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.runtime.broker import free_port
from tests.runtime.browser import CHROMIUM, chromium
from tests.runtime.command import run_command, write_config
from tests.runtime.pictures import write_pictures
from tests.runtime.view.conftest import EVIL, TOKEN
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.web import is_up

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

WIDTH = 390
"""Of a phone's screen, in pixels."""
pytestmark = [pytest.mark.machine, pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: "Browser", station: str) -> Iterator["Page"]:
    """A page of somebody who may mark; nothing that runs in it fails, and no text of others does anything."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(1000 * WAIT_S)
    page, faults = context.new_page(), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.goto(f"{station}/?token={TOKEN}")
    yield page
    assert page.title() != "1"
    assert not faults
    context.close()


def test_a_part_is_found_looked_at_and_marked_and_what_follows_stands_on_the_live_page(page: "Page") -> None:
    page.get_by_role("link", name="History").click()
    page.get_by_label("camera").select_option("top")
    page.get_by_label("verdict").select_option("NotOK")
    page.get_by_role("button", name="search").click()
    page.locator(".entry").click()
    page.wait_for_url("**/event/*")  # loaded, so that its script listens
    picture = page.locator("#picture img")
    assert str(picture.get_attribute("src")).endswith("-map.jpg")
    page.keyboard.press("m")
    assert not str(picture.get_attribute("src")).endswith("-map.jpg")
    for said in ("was bad", "was good"):
        page.get_by_label("your name").fill(f"Ada {EVIL}")
        page.get_by_label("note").fill(f"oil {EVIL}")
        page.get_by_label("note").press("Enter")  # it does not say which of the two
        page.get_by_role("button", name=said).click()
        page.locator(".marks li").first.filter(has_text=said).wait_for()
    page.reload()
    assert [text.split()[1] for text in page.locator(".marks li").all_inner_texts()] == ["good", "bad"]
    assert page.locator(".marks li").first.inner_text().count(EVIL) == 2
    assert page.get_by_label("your name").input_value() == f"Ada {EVIL}"
    page.keyboard.press("Escape")
    assert page.get_by_label("verdict").input_value() == "NotOK"
    page.get_by_role("link", name="Live").click()
    told = page.locator('[data-camera="top"] .told')
    told.wait_for()
    assert "rejects looked at 1/1" in told.inner_text()
    assert "promised" in told.inner_text()
    page.locator('[data-camera="top"] .part').filter(has_text=f"part 2  ·  file 2{EVIL}.png").wait_for()


def test_keys_lead_through_history_parts_and_cameras(page: "Page", station: str) -> None:
    page.keyboard.press("h")
    page.wait_for_url("**/history")
    page.goto(f"{station}/history?verdict=rejects&until=2024-01-01T00:00")
    for key in ("j", "j", "k", "j", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url("**/event/old-283?*")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/event/old-293?*")
    for expected in (283, 273):
        page.keyboard.press("ArrowRight")
        page.wait_for_url(f"**/event/old-{expected}?*")
    assert f"{EVIL}273" in page.locator("dl").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_url("**/history?*until=2024*")
    page.keyboard.press("Escape")
    page.wait_for_url(f"{station}/")
    page.keyboard.press("1")
    page.wait_for_url("**/camera/*")
    page.keyboard.press("Escape")
    page.locator("article").nth(1).wait_for()


def test_a_picture_that_is_slow_to_come_is_asked_for_once_and_state_goes_on(page: "Page") -> None:
    waiting: list[Route] = []

    def hold(route: "Route") -> None:
        waiting.append(route)

    address = page.url
    page.goto("about:blank")  # else the page as it stands may ask once more before it is loaded anew
    page.route("**/camera/*/*/*.jpg*", hold)
    page.goto(address)
    for _ in range(4):
        with page.expect_response("**/state.json"):
            pass
    addresses = [route.request.url for route in waiting]
    assert addresses
    assert len(addresses) == len(set(addresses))
    page.unroute_all(behavior="ignoreErrors")


def test_a_phone_shows_whole_pages_with_buttons_for_a_finger_and_takes_swipes(browser: "Browser", station: str) -> None:
    context = browser.new_context(viewport={"width": WIDTH, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(1000 * WAIT_S)
    page.goto(f"{station}/?token={TOKEN}")
    for path in ("", "camera/top", "history?verdict=all", "event/old-293?verdict=rejects", "docs"):
        page.goto(f"{station}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH, path
        for button in page.locator("button:visible, .button:visible").all():
            size = button.bounding_box()
            assert size is not None
            assert size["height"] >= 44, path
    page.goto(f"{station}/event/old-293?verdict=rejects&until=2024-01-01T00:00")
    swipe(page, 300, 40)
    page.wait_for_url("**/event/old-283?*")
    swipe(page, 40, 300)
    page.wait_for_url("**/event/old-293?*")
    context.close()


def test_a_collection_is_counted_on_its_page_and_keeps_what_it_has_when_it_is_stopped(
    browser: "Browser", tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    camera, port = {"kind": "watch", "path": str(tmp_path / "in")}, free_port()
    config = write_config(tmp_path, tmp_path / "not-there-yet", {"top": camera}, view={"port": port})
    options = ("--pictures", "5", "--output", str(tmp_path / "out"))
    process = run_command("collect", config, *options, folder=tmp_path)
    wait_until(lambda: process.poll() is not None or is_up(f"http://127.0.0.1:{port}"))
    context = browser.new_context(viewport={"width": WIDTH, "height": 844})
    page = context.new_page()
    page.set_default_timeout(1000 * WAIT_S)
    page.goto(f"http://127.0.0.1:{port}/")
    page.locator(".count").filter(has_text="0 of 5").wait_for()
    write_pictures(tmp_path / "in", 2)
    page.locator(".count").filter(has_text="2 of 5").wait_for()
    page.locator("img:visible").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    process.terminate()
    process.communicate(timeout=WAIT_S)
    page.get_by_text("The collection has ended").wait_for()
    assert len(list((tmp_path / "out/train/good").iterdir())) == 2
    context.close()


def swipe(page: "Page", start: int, end: int) -> None:
    session = page.context.new_cdp_session(page)
    for kind, points in (("touchStart", [start]), ("touchMove", [end]), ("touchEnd", [])):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": 400} for x in points]})
    session.detach()
