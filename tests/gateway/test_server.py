"""The server in this process, without the nodeset."""

import asyncio
import logging

import pytest
from asyncua import Client

from gateway.server import open_server
from gateway.settings import GatewaySettings
from tests.runtime.broker import free_port


class Listener:
    def event_notification(self, event: object) -> None:
        """It hears nothing in time."""


@pytest.mark.machine
def test_for_a_client_that_is_away_no_more_events_wait_than_it_could_ask_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.server.KEPT", 20)
    caplog.set_level(logging.CRITICAL, "asyncua")
    settings = {"stations": {"press-3": "plant/press-3"}, "broker": {"host": "mes"}, "port": free_port()}

    async def look() -> None:
        async with open_server(GatewaySettings.model_validate(settings)) as server, server:
            events = await server.get_event_generator()
            async with Client(f"opc.tcp://127.0.0.1:{settings['port']}/") as client:
                subscription = await client.create_subscription(3_600_000, Listener())
                await subscription.subscribe_events()
                for _ in range(25):
                    await events.trigger(message="judged")
                (kept,) = server.iserver.subscription_service.subscriptions.values()
                assert [len(waiting) for waiting in kept._triggered_events.values()] == [20]

    asyncio.run(look())


@pytest.mark.machine
def test_it_serves_on_an_address_of_ipv6() -> None:
    settings = {"stations": {"press-3": "plant/press-3"}, "broker": {"host": "mes"}, "host": "::1", "port": free_port()}

    async def look() -> None:
        url = f"opc.tcp://[::1]:{settings['port']}/"
        async with open_server(GatewaySettings.model_validate(settings)) as server, server, Client(url) as client:
            assert await client.nodes.server_state.read_value() == 0

    asyncio.run(look())
