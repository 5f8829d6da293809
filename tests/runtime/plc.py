"""A PLC: pymodbus' own server, whose coils and registers can be looked at, waited for, and taken away."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pymodbus.pdu.bit_message import WriteSingleCoilRequest
from pymodbus.pdu.register_message import WriteSingleRegisterRequest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.runtime.broker import free_port
from tests.runtime.waiting import WAIT_S


@dataclass
class Plc:
    """Runs on a thread of its own between `start` and `stop`, on one port."""

    port: int = field(default_factory=free_port)
    written: list[tuple[float, str, int, int]] = field(default_factory=list)
    """When (monotonic clock), `coil` or `register`, its address from 0, and the value."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def start(self) -> None:
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._up.wait(WAIT_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def values(self, what: str, address: int) -> list[int]:
        with self.changed:
            return [value for _s, kind, where, value in self.written if (kind, where) == (what, address)]

    def wait_for(self, reached: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(reached, WAIT_S), self.written[-20:]

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        bits, words = (SimData(0, 100, 0, datatype=kind) for kind in (DataType.BITS, DataType.REGISTERS))
        device = SimDevice(1, ([bits], [bits], [words], [words]))
        server = ModbusTcpServer(device, address=("127.0.0.1", self.port), trace_pdu=self._note)
        await server.listen()
        self._up.set()
        await self._over.wait()
        await server.shutdown()

    def _note(self, _is_answer: bool, pdu: Any) -> Any:
        with self.changed:
            if isinstance(pdu, WriteSingleCoilRequest):
                self.written.append((time.monotonic(), "coil", pdu.address, int(pdu.bits[0])))
            elif isinstance(pdu, WriteSingleRegisterRequest):
                self.written.append((time.monotonic(), "register", pdu.address, pdu.registers[0]))
            self.changed.notify_all()
        return pdu
