"""Access to the web page: the token, and the headers of every answer."""

import hmac
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import Request, Response


COOKIE = "pwae_token"
OPEN_PATHS = ("/healthz", "/readyz")
"""Told without a token: container engines and load balancers have none."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def require_token(token: str | None, mark_token: str | None) -> Callable[..., Awaitable["Response"]]:
    """Build the middleware that asks for the token: `?token=` once in a browser, a Bearer header from programs.

    Whoever has the `mark_token` may look, and mark (`request.state.may_mark`); None: nobody may mark.
    """
    from starlette.responses import PlainTextResponse, RedirectResponse

    def is_one_of(given: str | None, tokens: Collection[str | None]) -> bool:
        return given is not None and any(
            hmac.compare_digest(given.encode(), each.encode()) for each in tokens if each is not None
        )

    async def guard(request: "Request", go_on: Callable[["Request"], Awaitable["Response"]]) -> "Response":
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = (request.cookies.get(COOKIE), bearer)
        asked = request.query_params.get("token")
        # Not `request.url`, which is put together with the Host header, as the client likes it.
        path: str = request.scope["path"]
        may_look = token is None or path in OPEN_PATHS
        # For the routes, which ask for it.
        request.state.may_mark = any(is_one_of(each, (mark_token,)) for each in given)
        response: Response
        if asked is not None and is_one_of(asked, (token, mark_token)):
            response = RedirectResponse(f"/{path.lstrip('/')}", 303)  # two slashes would lead to another host
            response.set_cookie(COOKIE, asked, httponly=True, samesite="strict")
        elif may_look or any(is_one_of(each, (token, mark_token)) for each in given):
            response = await go_on(request)
        else:
            response = PlainTextResponse(
                "Open this page once as /?token=...; programs send it as a Bearer token.\n", 401
            )
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return guard
