"""The embedded broker: amqtt in a thread, for a trial without one. It speaks MQTT 3.1.1 and keeps nothing on disk."""

import asyncio
import contextlib
import logging
import threading
from types import TracebackType
from typing import Self

from core.errors import BrokerError
from runtime.threads.worker import Worker

DELIVERY_S = 2.0
"""How long subscribers are given at the end to take what was published."""


class EmbeddedBroker:
    """A broker on 127.0.0.1 while the context lasts."""

    def __init__(self, port: int = 1883) -> None:
        """Prepare a broker for `port`. Raises BrokerError where amqtt is not installed."""
        try:
            import amqtt  # noqa: F401
        except ImportError as error:
            raise BrokerError(
                "no broker is configured and amqtt is not installed: set `broker.host`, or pip install '.[trial]'."
            ) from error
        self.port = port
        self._loop = asyncio.new_event_loop()
        # What clients do wrong amqtt leaves to the loop, which would tell it as tracebacks of ours.
        self._loop.set_exception_handler(lambda _loop, _fault: None)
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._problem: Exception | None = None
        self._thread = Worker("embedded broker", self._run)

    def __enter__(self) -> Self:
        """Start. Raises BrokerError where the port is taken."""
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        self._thread.start()
        self._started.wait()
        if self._problem is not None:
            self._thread.join()
            raise BrokerError(
                f"the embedded broker cannot listen on 127.0.0.1:{self.port} ({self._problem}); "
                "set `broker.host` to use the broker that is there, or another `broker.port`."
            ) from self._problem
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, after the subscribers were given what is under way."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        from amqtt.broker import Broker
        from amqtt.errors import BrokerError as StartError

        broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        try:
            await broker.start()
        except StartError as error:
            self._problem = error
            self._started.set()
            return
        self._started.set()
        await self._stop.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._delivered(broker), DELIVERY_S)
        await broker.shutdown()

    @staticmethod
    async def _delivered(broker: object) -> None:
        """Wait until subscribers have what was published; amqtt has no public way to ask."""
        queue, tasks = broker._broadcast_queue, broker._tasks_queue  # type: ignore[attr-defined]
        while not queue.empty() or any(not task.done() for task in tasks):
            await asyncio.sleep(0.01)
