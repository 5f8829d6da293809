"""Looking back: filters, pictures by their event's id, and pages on which others' text stays text."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests.pictures import read_picture
from tests.runtime.browser import CHROMIUM, dump
from tests.runtime.view.conftest import EVENTS, EVIL, SIZE, TOKEN, history
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.web import ask, state

pytestmark = pytest.mark.machine


def test_a_filter_finds_what_it_names_the_newest_first(station: str) -> None:
    old = history(station, until="2024-01-01T00:00")
    assert [each["id"] for each in old] == [f"old-{number}" for number in range(293, 0, -10)]
    assert len(history(station, until="2024-01-01T00:00", verdict="all", camera="left", job="job & 7")) == EVENTS // 2
    assert [each["id"] for each in history(station, part=f"{EVIL}293")] == ["old-293"]
    assert history(station, job="job & 8") == []
    blue = history(station, recipe=f"{EVIL}blue")
    assert [each["id"] for each in blue] == [f"old-{number}" for number in range(293, 0, -20)]
    assert {each["recipe"] for each in blue} == {f"{EVIL}blue"}
    assert {each["verdict"] for each in history(station, camera="top", verdict="all")} == {
        "OK",
        "NotOK",
        "NotDecidable",
    }
    assert ask(f"{station}/history.json?since=yesterday")[0] == 400
    assert ask(f"{station}/history.json?verdict=good")[0] == 422
    code, told = ask(f"{station}/history.json?Camera_=top")
    assert (code, b"did you mean `camera`?" in told) == (422, True)


def test_a_picture_is_had_by_its_events_id_at_the_cameras_own_size(station: str) -> None:
    (bad,) = history(station, camera="top", verdict="NotOK")
    event = json.loads(ask(f"{station}/event/{bad['id']}.json")[1])
    assert event["evidence"]["url"] == f"{station}/evidence/{bad['id']}.jpg"
    wait_until(lambda: ask(event["evidence"]["url"].replace(".jpg", "-map.jpg"))[0] == 200)
    for name in ("", "-map"):
        picture = read_picture(ask(f"{station}/evidence/{bad['id']}{name}.jpg")[1])
        assert picture.shape[:2] == SIZE
        small = read_picture(ask(f"{station}/evidence/{bad['id']}{name}.jpg?width=100")[1])
        assert small.shape[:2] == (60, 100)
    (unreadable,) = history(station, camera="top", verdict="NotDecidable")
    assert unreadable["picture"] is None
    for name in (unreadable["id"], "old-13", "old-3", "no-such", "%2e%2e%2fhistory"):
        assert ask(f"{station}/evidence/{name}.jpg")[0] == 404


def test_verdict_and_picture_come_in_one_answer_also_where_there_is_no_picture(station: str) -> None:
    request = urllib.request.Request(f"{station}/camera/top/last/plain.jpg")  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=WAIT_S)  # noqa: S310
    with refused.value as answer:
        assert answer.code == 404
        part = json.loads(answer.headers["X-Part"])
    assert (part["verdict"], part["reasons"], part["file"]) == ("NotDecidable", ["unreadable"], f"2{EVIL}.png")


def test_a_shift_is_counted_beside_what_was_counted_since_the_start(station: str) -> None:
    camera = state(station)["cameras"]["top"]
    assert camera["shift"] == {key: camera[key] for key in ("ok", "not_ok", "not_decidable")}
    assert camera["shift"] == {"ok": 1, "not_ok": 1, "not_decidable": 1}
    assert state(station)["title"] == "test-1"


PAGES = ("", "camera/top", "history?verdict=all", "event/old-293?verdict=all", "history?recipe=EVILblue")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
def test_text_of_others_stays_text_in_a_browser(station: str, path: str, tmp_path: Path) -> None:
    page = dump(f"{station}/{path.replace('EVIL', urllib.parse.quote(EVIL))}", tmp_path)
    assert not re.search(r'<img src="?x"?', page)
    assert "<title>1</title>" not in page
    assert "&lt;img src=x" in page
    if not path:
        assert re.search(r'<article data-camera="gone" class="[^"]*away', page)


def test_pages_say_what_may_run_in_them_and_speak_the_browsers_language(station: str) -> None:
    for path in ("", "history", "event/old-293", "event/none"):
        request = urllib.request.Request(f"{station}/{path}", headers={"Accept-Language": "de-AT, en;q=0.5"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310
                policy, text = answer.headers["Content-Security-Policy"], answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                policy, text = error.headers["Content-Security-Policy"], error.read().decode()
        assert "unsafe" not in policy
        assert "Verlauf" in text
        assert not re.search(r"<script>|<style| style=| on[a-z]+=[\"']", text.replace(EVIL, ""))
    assert "历史" in ask(f"{station}/history", Cookie="pwae_language=zh")[1].decode()


def test_only_whoever_may_mark_is_asked_what_a_part_was(station: str) -> None:
    page = f"{station}/event/old-293"
    assert 'id="mark"' not in ask(page)[1].decode()
    assert 'data-address="../events/old-293/mark"' in ask(page, Cookie=f"pwae_token={TOKEN}")[1].decode()
