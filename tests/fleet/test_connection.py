"""The connection to a broker that does not let us hear the stations."""

import pytest

from core.errors import BrokerError
from fleet.settings import FleetSettings
from fleet.station import Stations
from runtime.delivery.settings import BrokerSettings
from tests.runtime.odd_broker import SUBSCRIBE, odd_broker, packet
from tests.runtime.waiting import wait_until


def test_a_refused_subscription_is_no_fleet_without_stations() -> None:
    def deny(first: int, body: bytes) -> bytes | None:
        return packet(0x90, body[:2] + b"\0\x87") if first >> 4 == SUBSCRIBE else None

    with odd_broker(deny) as broker:
        stations = Stations(FleetSettings(broker=BrokerSettings(host="127.0.0.1", port=broker.port)), "page")
        with stations.connection:
            with pytest.raises(BrokerError, match=r"nothing from pwae/.*Not authorized.*read there"):
                stations.read()
            wait_until(lambda: broker.count(SUBSCRIBE) == 6)
