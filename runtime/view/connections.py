"""Connections to the web page: only so many at a time, so that judging has the files and sockets that it needs."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 64
"""A browser holds six."""


def bounded_protocol() -> "type[H11Protocol]":
    """Build uvicorn's HTTP protocol with at most MOST connections: a new one ends the one that has idled longest."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    opened: dict[H11Protocol, None] = {}

    class Bounded(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            opened[self] = None
            if len(opened) > MOST:
                idle = (one for one in opened if one.cycle is None or one.cycle.response_complete)
                oldest = next(idle, next(iter(opened)))
                del opened[oldest]
                oldest.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            opened.pop(self, None)
            super().connection_lost(exc)

    return Bounded
