"""Pictures that browsers ask for are worked out a few at a time, however many ask, and hold up nobody else."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi import APIRouter, FastAPI

from runtime.view import live_page, looking_back
from runtime.view.pictures import AT_ONCE
from runtime.view.settings import ViewSettings
from runtime.view.web_page import serving
from tests.runtime.broker import free_port
from tests.runtime.part_pictures import part_picture
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.web import ask

ASKED = 50
"""More than the page has threads."""


class Slow:
    """Takes long to work something out, and counts for how many it does so at once."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.at_once = self.most = 0
        self._counting = threading.Lock()

    def __call__(self, *_: object) -> Any:
        with self._counting:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.may_end.wait(WAIT_S)
        with self._counting:
            self.at_once -= 1
        return np.zeros((8, 8, 3), np.uint8)


def live(_tmp_path: Path) -> tuple[APIRouter, str]:
    display: Any = SimpleNamespace(lock=threading.Lock(), views={"top": SimpleNamespace(last=part_picture(1))})
    nothing: Any = None
    return live_page.live_router(display, nothing, None, nothing, None), "/camera/top/last/map.jpg"


def kept(tmp_path: Path) -> tuple[APIRouter, str]:
    past: Any = SimpleNamespace(picture=lambda *_: tmp_path / "1.jpg")
    nothing: Any = None
    return looking_back.history_router(past, nothing, []), "/evidence/1-map.jpg?width=16"


@pytest.mark.parametrize(("pages", "works"), [(live, (live_page, "draw")), (kept, (looking_back, "read_no_wider"))])
def test_pictures_are_worked_out_in_turn_and_health_is_told_meanwhile(
    pages: Callable[[Path], tuple[APIRouter, str]],
    works: tuple[Any, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Slow()
    monkeypatch.setattr(*works, slow)
    monkeypatch.setattr(looking_back, "_found", lambda *_: (object(), {}))
    app, settings = FastAPI(), ViewSettings(port=free_port())
    router, path = pages(tmp_path)
    app.include_router(router)
    app.get("/healthz")(lambda: "ok")
    address = f"http://127.0.0.1:{settings.port}"
    with serving(settings, app), ThreadPoolExecutor(ASKED) as browsers:
        answers = [browsers.submit(partial(ask, f"{address}{path}")) for _ in range(ASKED)]
        wait_until(lambda: slow.at_once == AT_ONCE)
        assert ask(f"{address}/healthz")[0] == 200
        slow.may_end.set()
        assert {answer.result()[0] for answer in answers} == {200}
    assert slow.most == AT_ONCE
