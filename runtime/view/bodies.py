"""Bodies of requests: bounded in size and in time; what is wrong with one is told without telling it again."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

READ_WITHIN_S = 30.0
SHORT_BYTES = 2**16
"""Of a form that a person fills in."""


async def read_body(request: Request, largest_bytes: int) -> bytes:
    """Read a body. Raises HTTPException where it is larger, or does not come."""
    data = bytearray()
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            async for chunk in request.stream():
                data += chunk
                if len(data) > largest_bytes:
                    raise HTTPException(413, f"more than the {largest_bytes:,} bytes that are allowed")
    except ClientDisconnect as error:
        raise HTTPException(400, "the connection ended before all had come") from error
    except TimeoutError as error:
        raise HTTPException(408, f"it had not come within {READ_WITHIN_S:.0f} s; send it again") from error
    return bytes(data)


class _Short(Request):
    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            self._body = await read_body(self, SHORT_BYTES)
        return self._body


class ShortBodies(APIRoute):
    """A route whose bodies are short: FastAPI reads them whole before anything else is asked."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See fastapi.routing.APIRoute."""
        handle = super().get_route_handler()

        async def short(request: Request) -> Response:
            return await handle(_Short(request.scope, request.receive))

        return short


async def tell_what_is_wrong(_request: Request, error: Exception) -> Response:
    """Answer a request that does not fit; what was sent may be long, or no text that an answer can hold."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    detail = [{key: fault[key] for key in ("type", "loc", "msg")} for fault in faults]
    return Response(json.dumps({"detail": detail}), 422, media_type="application/json")
