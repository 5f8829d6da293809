"""Access to the web page: the token, and the headers of every answer."""

import hmac
from collections.abc import Awaitable, Callable
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


def require_token(token: str | None) -> Callable[..., Awaitable["Response"]]:
    """Build the middleware that asks for the token: `?token=` once in a browser, a Bearer header from programs."""
    from starlette.responses import PlainTextResponse, RedirectResponse

    def is_right(given: str | None) -> bool:
        return token is None or (given is not None and hmac.compare_digest(given.encode(), token.encode()))

    async def guard(request: "Request", go_on: Callable[["Request"], Awaitable["Response"]]) -> "Response":
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        asked = request.query_params.get("token")
        response: Response
        if token is not None and asked is not None and is_right(asked):
            response = RedirectResponse(request.url.path, 303)
            response.set_cookie(COOKIE, token, httponly=True, samesite="strict")
        elif request.url.path in OPEN_PATHS or is_right(request.cookies.get(COOKIE)) or is_right(bearer):
            response = await go_on(request)
        else:
            response = PlainTextResponse(
                "Open this page once as /?token=...; programs send it as a Bearer token.\n", 401
            )
        response.headers.update(HEADERS)
        return response

    return guard
