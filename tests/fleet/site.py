"""A site: one agent on its thread, and whoever listens to it."""

import threading

from core.config import load_settings
from fleet.agent import Agent
from fleet.order import Order, Package, sealed
from fleet.report import Report
from fleet.settings import AgentSettings
from runtime.events.topics import Topics
from tests.fleet.conftest import Box, Key
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S


class Site:
    """One agent, and what it tells."""

    def __init__(self, box: Box, key: Key, port: int) -> None:
        self.box, self.key = box, key
        self.mes = Subscriber(port)
        self.serial = 1000
        self._stop = threading.Event()
        agent = Agent(load_settings(box.agent, AgentSettings))
        self._thread = threading.Thread(target=agent.run, args=(self._stop,))
        self._thread.start()

    def reports(self) -> list[Report]:
        topic = Topics(self.box.station).bundle_reported
        return [Report.model_validate_json(each.payload) for each in list(self.mes.messages) if each.topic == topic]

    def order(self, package: Package | None, signed_by: Key | None = None, serial: int | None = None) -> Report:
        """Order, and wait for what becomes of it."""
        self.serial += 1
        order = Order(
            station=self.box.station, serial=serial or self.serial, roll_out="r", package=package, previous=None
        )
        before = self.reports()
        known = {(each.serial, each.error) for each in before}
        payload = sealed(order, (signed_by or self.key).private)
        self.mes.send(Topics(self.box.station).bundle_desired, payload)
        self.mes.wait_for(
            lambda: any(
                (each.error and (each.serial, each.error) not in known)
                or (each.serial == order.serial and each.is_done)
                for each in self.reports()[len(before) :]
            )
        )
        return self.reports()[-1]

    def close(self) -> None:
        self._stop.set()
        self._thread.join(WAIT_S)
        self.mes.close()
