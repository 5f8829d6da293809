"""Coils of a PLC, over Modbus TCP: on for what is to be rejected, and on while nobody judges.

A part's coil is switched when its verdict stands. After a lost connection, which is looked for each second, every coil
is on until the next verdict: what was judged meanwhile has passed. The heartbeat counts only while the judging thread
goes round; where it stands still, every coil is on too. What a PLC does not take in time is left out, the oldest first,
told and counted.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from core.address import host_and_port
from core.errors import ConfigError
from runtime.actuator.settings import ModbusSettings
from runtime.threads.backoff import BackOff
from runtime.threads.worker import Worker

log = logging.getLogger(__name__)
BEAT_EVERY_S = 1.0
HANGS_S = 3.0
"""The heart stops, and every coil is on, when the judging thread has stood still for so long."""
LONGEST_QUEUE = 1000
"""Verdicts that wait for a PLC that is slower than they come."""
RETRY_S = 2.0
"""A PLC that is away is tried again at least this often: its coils are on until then."""
LEAVE_S = 0.5
"""How long the PLC is given at the end, to have its coils on."""


class Coils(Worker):
    """Switches coils on a thread of its own, until `stop`; nobody waits for it."""

    def __init__(self, settings: ModbusSettings, coils: Collection[int]) -> None:
        """Switch `coils` of the PLC that `settings` name. Raises ConfigError where the package is missing."""
        super().__init__("coils", self._keep_connected)
        _require_package()
        self.problem = ""
        """Why the PLC is not told; empty where all is well."""
        self.left_out = 0
        """Verdicts that it was not told: it was away, or slower than they came."""
        self._settings = settings
        self._coils = sorted(coils)
        self._asked: deque[tuple[int, bool]] = deque()
        self._is_overrun = False
        self._changed = threading.Condition()
        self._is_over = False
        self._alive_s = time.monotonic()
        self._beats = 0

    def start(self) -> None:
        """Begin; the judging thread counts as going round until then."""
        self.alive()
        super().start()

    def switch(self, coil: int, is_on: bool) -> None:
        """Switch a coil. Returns at once."""
        with self._changed:
            self._asked.append((coil, is_on))
            if len(self._asked) > LONGEST_QUEUE:
                self._asked.popleft()
                self.left_out += 1
                self._is_overrun = True
            self._changed.notify_all()

    def alive(self) -> None:
        """The judging thread goes round. Returns at once."""
        self._alive_s = time.monotonic()

    def stop(self) -> None:
        """Have every coil on, and end."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        if self.is_alive():
            self.join(LEAVE_S + self._settings.timeout_s)

    def _keep_connected(self) -> None:
        from pymodbus.exceptions import ModbusException

        backoff = BackOff()
        while not self._is_over:
            try:
                with open_client(self._settings) as client:
                    if not client.connect():
                        raise ConnectionError("it does not answer")
                    self._all_on(client)
                    self._tell_problem("")
                    backoff.succeeded()
                    self._serve(client)
                    self._all_on(client)
            except (OSError, ModbusException) as error:
                self._tell_problem(f"{self._plc} gets no verdicts: {error}")
            with self._changed:
                self._changed.wait_for(lambda: self._is_over, min(backoff.failed(), RETRY_S))

    def _serve(self, client: Any) -> None:
        beat_s, hangs = time.monotonic(), False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_over or bool(self._asked), beat_s - time.monotonic())
                if self._is_over:
                    return
                asked = deque(self._asked)
                self._asked.clear()
                is_overrun, self._is_overrun = self._is_overrun, False
            if asked:
                self._tell_problem(f"{self._plc} is too slow: some verdicts do not reach it" if is_overrun else "")
            try:
                while asked:
                    coil, is_on = asked[0]
                    self._write(client.write_coil(coil, is_on, device_id=self._settings.unit))
                    asked.popleft()
            finally:
                with self._changed:
                    self.left_out += len(asked)
            now_s = time.monotonic()
            if now_s >= beat_s:
                beat_s = now_s + BEAT_EVERY_S
                hung, hangs = hangs, now_s - self._alive_s >= HANGS_S
                if hangs and not hung:
                    log.error("judging stands still: every coil is on until the next verdict")
                    self._switch_all_on(client)
                self._beat(client, hangs)

    def _beat(self, client: Any, hangs: bool) -> None:
        register = self._settings.heartbeat_register
        if register is not None and not hangs:
            self._beats = (self._beats + 1) % 2**16
            self._write(client.write_register(register, self._beats, device_id=self._settings.unit))
        elif self._coils:
            # A PLC that was switched off and on has its coils off, which passes all: its connection tells. Whatever it
            # answers, it is the one that was connected to.
            client.read_coils(self._coils[0], count=1, device_id=self._settings.unit)

    def _all_on(self, client: Any) -> None:
        with self._changed:
            self.left_out += len(self._asked)
            self._asked.clear()
            self._is_overrun = False
        self._switch_all_on(client)

    def _switch_all_on(self, client: Any) -> None:
        for coil in self._coils:
            self._write(client.write_coil(coil, True, device_id=self._settings.unit))

    @property
    def _plc(self) -> str:
        return f"PLC {host_and_port(self._settings.host, self._settings.port)}"

    def _write(self, answer: Any) -> None:
        if answer.isError():
            raise ConnectionError(f"it refuses ({answer})")

    def _tell_problem(self, problem: str) -> None:
        if problem == self.problem:
            return
        self.problem = problem
        if problem:
            log.error("%s left_out=%d", problem, self.left_out)
        else:
            log.info("PLC gets verdicts host=%s port=%d", self._settings.host, self._settings.port)


@contextmanager
def open_client(settings: ModbusSettings) -> Iterator[Any]:
    """Give a client that is not connected yet. Raises ConfigError where the package is missing."""
    _require_package()
    from pymodbus.client import ModbusTcpClient

    # It tells each failure itself, many times; here it is told once.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    client: Any = ModbusTcpClient(settings.host, port=settings.port, timeout=settings.timeout_s, retries=0)
    try:
        yield client
    finally:
        client.close()


def _require_package() -> None:
    try:
        import pymodbus  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError("modbus: the package pymodbus is missing; pip install '.[modbus]'.") from error
