"""The server in this process, without the nodeset."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from asyncua import Client, Server

from gateway.server import leave_who_reads_nothing, open_server, tell_crowd
from gateway.settings import GatewaySettings
from tests.runtime.broker import free_port
from tests.runtime.waiting import WAIT_S


@asynccontextmanager
async def serving(**more: object) -> AsyncIterator[tuple[Server, str]]:
    """A server of this process, and where it is reached."""
    settings = {"stations": {"press-3": "plant/press-3"}, "broker": {"host": "mes"}, "port": free_port(), **more}
    async with await open_server(GatewaySettings.model_validate(settings)) as server:
        yield server, f"opc.tcp://127.0.0.1:{settings['port']}/"


class Listener:
    def event_notification(self, event: object) -> None:
        """It hears nothing in time."""


@pytest.mark.machine
def test_for_a_client_that_is_away_no_more_events_wait_than_it_could_ask_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.server.KEPT", 20)
    caplog.set_level(logging.CRITICAL, "asyncua")

    async def look() -> None:
        async with serving() as (server, url):
            events = await server.get_event_generator()
            async with Client(url) as client:
                subscription = await client.create_subscription(3_600_000, Listener())
                await subscription.subscribe_events()
                for _ in range(25):
                    await events.trigger(message="judged")
                (kept,) = server.iserver.subscription_service.subscriptions.values()
                assert [len(waiting) for waiting in kept._triggered_events.values()] == [20]

    asyncio.run(look())


@pytest.mark.machine
def test_no_more_clients_are_let_in_than_leave_files_for_the_broker_and_it_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.server.MOST_CLIENTS", 3)
    port = free_port()

    async def look() -> None:
        async with serving(port=port) as (server, url), Client(url) as client:
            assert not tell_crowd(server, was_full=False)
            streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            assert await streams[2][0].read() == b"", "it is closed"
            assert tell_crowd(server, tell_crowd(server, was_full=False))
            assert await client.nodes.server_state.read_value() == 0
            for _reader, writer in streams:
                writer.close()
                await writer.wait_closed()

    asyncio.run(look())
    assert caplog.text.count("no other is let in") == 1


@pytest.mark.machine
def test_a_client_that_asks_and_reads_nothing_is_left_and_the_others_are_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.server.MOST_UNREAD_BYTES", 10_000_000)

    async def look() -> None:
        async with serving() as (server, url):
            large = await server.nodes.objects.add_variable(2, "large", "x" * 2_000_000)
            async with Client(url) as other:
                leave_who_reads_nothing(server)
                reader = Client(url, watchdog_intervall=WAIT_S)
                await reader.connect()
                reader.uaclient.protocol.transport.pause_reading()
                asked = [asyncio.ensure_future(reader.get_node(large.nodeid).read_value()) for _ in range(20)]
                while "does not read" not in caplog.text:
                    leave_who_reads_nothing(server)
                    await asyncio.sleep(0.01)
                assert await other.nodes.server_state.read_value() == 0
                reader.uaclient.protocol.transport.abort()
                await asyncio.gather(*asked, return_exceptions=True)
                reader.disconnect_socket()

    asyncio.run(asyncio.wait_for(look(), WAIT_S))


@pytest.mark.machine
def test_for_a_client_that_acknowledges_nothing_no_more_than_so_many_messages_are_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.server.MOST_UNACKNOWLEDGED", 3)
    caplog.set_level(logging.CRITICAL, "asyncua")

    async def look() -> None:
        async with serving() as (server, url):
            events = await server.get_event_generator()
            async with Client(url) as client:
                publish = client.uaclient.session.publish
                monkeypatch.setattr(client.uaclient.session, "publish", lambda _acks: publish([]))
                heard = asyncio.Queue[object]()
                listener = Listener()
                monkeypatch.setattr(listener, "event_notification", heard.put_nowait, raising=False)
                subscription = await client.create_subscription(10, listener)
                await subscription.subscribe_events()
                for _ in range(8):
                    await events.trigger(message="judged")
                    await heard.get()
                (kept,) = server.iserver.subscription_service.subscriptions.values()
                assert len(kept._not_acknowledged_results) == 3

    asyncio.run(asyncio.wait_for(look(), WAIT_S))


@pytest.mark.machine
def test_it_serves_on_an_address_of_ipv6() -> None:
    port = free_port()

    async def look() -> None:
        async with serving(host="::1", port=port), Client(f"opc.tcp://[::1]:{port}/") as client:
            assert await client.nodes.server_state.read_value() == 0

    asyncio.run(look())


@pytest.mark.machine
def test_on_all_addresses_it_is_reached_by_those_of_ipv4_and_of_ipv6(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "open sesame")
    port = free_port()
    security = {
        "cert_file": tmp_path / "cert.pem",
        "key_file": tmp_path / "key.pem",
        "users": {"scada": {"password_env": "PASSWORD"}},
    }

    async def look() -> None:
        async with serving(host="::", port=port, security=security):
            for host in ("127.0.0.1", "::1"):
                _reader, writer = await asyncio.open_connection(host, port)
                writer.close()

    asyncio.run(look())
