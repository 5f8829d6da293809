"""The HTTP API by itself: what clients that send too slowly, too little or too much at a time come to."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import FastAPI

from runtime.view import api, bodies
from runtime.view.rendering import Pages

Receive = Callable[[], Awaitable[dict[str, Any]]]
WHOLE = {"type": "http.request", "body": b"a picture", "more_body": False}
BEGUN = {"type": "http.request", "body": b"a pic", "more_body": True}


class Judge:
    """Finds every picture good."""

    def predict(self, data: bytes, camera: str | None, recipe: str | None) -> bytes:
        return b"{}"


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI(docs_url=None, openapi_url=None)
    app.include_router(api.api_router(app, Judge(), None, Pages({}, "press-3")))
    return app


async def predict(app: FastAPI, receive: Receive, query: bytes = b"") -> tuple[int, bytes]:
    """Send what `receive` gives; the answer's status and body."""
    told: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        told.append(message)

    asked = {"type": "http", "method": "POST", "path": "/predict", "query_string": query}
    scope = {**asked, "headers": [], "root_path": ""}
    await app(scope, receive, send)
    return told[0]["status"], told[1]["body"]


async def whole() -> dict[str, Any]:
    return WHOLE


def test_a_key_that_is_misspelt_is_refused_for_the_answer_would_be_another_recipes(app: FastAPI) -> None:
    code, told = asyncio.run(predict(app, whole, b"camera=top&receipe=blue"))
    assert (code, told) == (422, b'{"detail":"unknown key `receipe`: did you mean `recipe`?"}')
    assert asyncio.run(predict(app, whole, b"camera=top&recipe=blue&_=1764400000&token=x"))[0] == 200


def stalled() -> Receive:
    """A client that begins, and sends no more."""
    parts = [BEGUN]

    async def receive() -> dict[str, Any]:
        return parts.pop() if parts else await asyncio.Future[dict[str, Any]]()

    return receive


def test_a_client_that_stalls_is_let_go_in_words(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "READ_WITHIN_S", 0.01)
    assert asyncio.run(predict(app, whole)) == (200, b"{}")
    code, told = asyncio.run(predict(app, stalled()))
    assert (code, b"had not come within" in told) == (408, True)


def test_a_client_that_is_cut_off_is_no_fault_of_ours(app: FastAPI) -> None:
    parts: list[dict[str, Any]] = [{"type": "http.disconnect"}, BEGUN]

    async def receive() -> dict[str, Any]:
        return parts.pop()

    assert asyncio.run(predict(app, receive))[0] == 400


def test_only_so_many_pictures_are_held_at_a_time(app: FastAPI) -> None:
    async def crowd() -> tuple[bool, tuple[int, bytes]]:
        slow = [asyncio.create_task(predict(app, stalled())) for _ in range(api.BODIES)]
        is_read = asyncio.Event()

        async def receive() -> dict[str, Any]:
            is_read.set()
            return WHOLE

        late = asyncio.create_task(predict(app, receive))
        for _ in range(100):
            await asyncio.sleep(0)
        waited = not is_read.is_set()
        slow[0].cancel()
        answer = await late
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        return waited, answer

    assert asyncio.run(crowd()) == (True, (200, b"{}"))
