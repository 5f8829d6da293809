"""A web page's server: FastAPI and uvicorn in a thread, for those alone who may look."""

import errno
import importlib.util
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from core.address import LOCAL_HOSTS, host_and_port
from core.errors import ConfigError
from runtime.threads.seldom import Seldom
from runtime.threads.worker import Worker
from runtime.view.access import require_token
from runtime.view.connections import bounded_protocol
from runtime.view.settings import ViewSettings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)
of_server = logging.getLogger("uvicorn.error")


@contextmanager
def serving(settings: ViewSettings, app: "FastAPI") -> Iterator[None]:
    """Serve `app` on a thread while the context lasts. Raises ConfigError where the port is taken."""
    import uvicorn

    listener = listen(settings)
    config = uvicorn.Config(
        app,
        http=bounded_protocol(),
        log_config=None,  # its lines go where ours go
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    told = Seldom()

    def is_due(record: logging.LogRecord) -> bool:  # of each request that is none it says so
        return told.is_due(record.getMessage())

    of_server.addFilter(is_due)
    thread = Worker("view", partial(server.run, sockets=[listener]))
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(0.5)
        listener.close()
        of_server.removeFilter(is_due)
        if thread.fault is not None:
            log.error("the page ended reason=%r remedy=%r", str(thread.fault), "restart; judging went on without it")


def require_packages() -> None:
    """Raises ConfigError where the packages of the extra `view` are missing."""
    if not all(importlib.util.find_spec(package) for package in ("fastapi", "uvicorn", "jinja2")):
        raise ConfigError("view: its packages are missing; pip install '.[view]', or leave `view` out.")


def guarded_app(settings: ViewSettings) -> "FastAPI":
    """Build an application that only those see who may. Raises ConfigError where the token cannot be read."""
    from fastapi import FastAPI
    from fastapi.exceptions import RequestValidationError
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from runtime.view.bodies import tell_what_is_wrong

    app = FastAPI(title="P-WAE", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(RequestValidationError, tell_what_is_wrong)
    if settings.is_local:
        # Another site's page must not read this one through a name that it points at 127.0.0.1.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOCAL_HOSTS, "[::1]"])
    app.middleware("http")(require_token(settings.token(), settings.mark_token()))
    app.add_middleware(_head_as_get)
    return app


def _head_as_get(app: "ASGIApp") -> "ASGIApp":
    """Let HEAD find what GET finds: monitors and load balancers ask so."""

    async def answer(scope: "Scope", receive: "Receive", send: "Send") -> None:
        # A copy: by its own the server knows to leave the body out.
        await app({**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope, receive, send)

    return answer


def listen(settings: ViewSettings) -> socket.socket:
    """Take the address. Raises ConfigError where it is taken, or not this machine's."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
    except OSError as error:
        where = host_and_port(settings.host, settings.port)
        wrong = "view.host" if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL else "view.port"
        raise ConfigError(f"view: cannot listen on {where} ({error.strerror}); set another `{wrong}`.") from error
    return listener
