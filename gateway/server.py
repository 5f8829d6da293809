"""The server: stations heard over MQTT, served over OPC UA, in one event loop."""

import logging
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from asyncua import Server, ua

from core.address import host_and_port
from core.errors import ConfigError
from core.stop import Stop
from gateway.access import Users, secure
from gateway.inbox import Inbox
from gateway.nodeset import load_nodeset
from gateway.results import KEPT
from gateway.settings import GatewaySettings
from gateway.variables import stamped
from gateway.vision_system import NAMESPACE, VisionSystem, add_vision_system
from runtime.events.topics import Topics, gap_beside
from runtime.following.follower import Contact, Follower

log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0
MOST_CLIENTS = 100
"""Connections at a time: one of a program that leaves its own open must not take the files that the broker's needs."""

MOST_UNACKNOWLEDGED = 100
"""Messages of a subscription that are kept for a client that read them and does not say so."""
MOST_UNREAD_BYTES = 20_000_000
"""Of answers that a client does not read; the events of one subscription that waited for it are some 5 MB."""


async def serve(settings: GatewaySettings, stop: Stop) -> None:
    """Serve until `stop` has a reason, which is looked for every LOOK_EVERY_S once the port is open.

    Raises ConfigError where the port is taken, or a certificate or password cannot be used.
    """
    sys.stderr.write("reading the nodeset of OPC 40100-1, which takes some seconds\n")
    server = await open_server(settings)
    inbox = Inbox()
    follower = follower_of(settings, inbox)
    types = await load_nodeset(server)
    systems = {prefix: await add_vision_system(server, name, types) for name, prefix in settings.stations.items()}
    told = await add_broker_variables(server)
    async with server:
        where = host_and_port(settings.host, settings.port)
        stop.is_heeded = True
        log.info("serving endpoint=opc.tcp://%s/ stations=%s", where, list(settings.stations))
        was_full = False
        with follower:
            while stop.reason is None:
                follower.require_thread()
                was_full = tell_crowd(server, was_full)
                leave_who_reads_nothing(server)
                await serve_what_comes(server, systems, told, inbox)


async def open_server(settings: GatewaySettings) -> Server:
    """Give a server that listens to nobody yet."""
    security = settings.security
    uri = f"urn:{socket.gethostname()}:p-wae:opcua-gateway"
    listen_once(settings.host, settings.port)
    server = Server(user_manager=Users(security.passwords()) if security else None)
    server.set_server_name("P-WAE OPC UA gateway")
    # Before `init`, which takes seconds: what cannot be used is told at once.
    if security is None:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.set_identity_tokens([ua.AnonymousIdentityToken])
    else:
        await secure(server, security, uri)
    await server.init()
    # By OPC UA a session outlives its connection for minutes. A client that comes and goes leaves many, and for each
    # wait the events that it missed: no more than it could ask for by id.
    server.iserver.max_monitored_item_queue_size = KEPT
    server.iserver.max_unacked_messages_per_subscription = MOST_UNACKNOWLEDGED
    server.iserver.max_connections = MOST_CLIENTS
    server.set_endpoint(f"opc.tcp://{host_and_port(settings.host, settings.port)}/")
    if settings.host == "::":  # asyncio would leave out IPv4
        server.socket_address = "", settings.port
    await server.set_application_uri(uri)
    return server


@dataclass(frozen=True)
class BrokerVariables:
    """The variables that tell how it stands with the broker."""

    state: ua.NodeId
    """`connected`, or why not."""
    left_out: ua.NodeId
    """How many messages were left out, since more came than could be served."""


async def add_broker_variables(server: Server) -> BrokerVariables:
    """Add the variables `Broker` and `MessagesLeftOut`."""
    index = await server.register_namespace(NAMESPACE)
    values = {
        "Broker": ua.Variant("connecting", ua.VariantType.String),
        "MessagesLeftOut": ua.Variant(0, ua.VariantType.UInt32),
    }
    for name, value in values.items():
        await server.nodes.objects.add_variable(ua.NodeId(name, index), ua.QualifiedName(name, index), value)
    return BrokerVariables(*(ua.NodeId(name, index) for name in values))


def follower_of(settings: GatewaySettings, inbox: Inbox) -> Follower:
    """Give what puts into `inbox` all that the stations tell, and how it stands with the broker.

    Raises ConfigError where a certificate or password cannot be used.
    """
    handlers = {each: inbox.put for prefix in settings.stations.values() for each in filters(prefix)}
    # Of half of what a station tells nobody would know that it is half.
    return Follower(settings.broker, settings.client_id, handlers, on_contact=inbox.put, needs_all=True)


async def serve_what_comes(
    server: Server, systems: Mapping[str, VisionSystem], told: BrokerVariables, inbox: Inbox
) -> None:
    """Keep `systems`, by their prefixes, as the stations tell, and `told` as it stands with the broker."""
    what = await inbox.take(LOOK_EVERY_S)
    if isinstance(what, Contact):
        words = ua.Variant(what.words, ua.VariantType.String)
        count = ua.Variant(inbox.left_out, ua.VariantType.UInt32)
        for node, value in ((told.state, words), (told.left_out, count)):
            await server.write_attribute_value(node, stamped(ua.DataValue(value)))
        for system in systems.values():
            await system.link(what.is_up)
    elif what is not None:
        for prefix, system in systems.items():
            if what.topic.startswith(f"{prefix}/"):
                await system.hear(what.topic.removeprefix(f"{prefix}/"), what)


def tell_crowd(server: Server, was_full: bool) -> bool:
    """Say whether no more clients are let in; it is told when that begins."""
    is_full = server.bserver is not None and len(server.bserver.clients) >= MOST_CLIENTS
    if is_full and not was_full:
        told = "%d clients are connected, and no other is let in; find who leaves connections open"
        log.warning(told, MOST_CLIENTS)
    return is_full


def leave_who_reads_nothing(server: Server) -> None:
    """Close the connection of a client that asks on and on and reads no answer: they would fill the memory."""
    for client in [*server.bserver.clients] if server.bserver is not None else []:
        if client.transport is not None and client.transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            log.warning("connection closed client=%s reason='it does not read what it asks for'", client.peer_name)
            client.transport.abort()


def filters(prefix: str) -> list[str]:
    """Give the topic filters of one station: all that is told of it, and not what others send to it."""
    topics = Topics(prefix)
    result = topics.result("+")
    cameras = [result, gap_beside(result), topics.last("+"), topics.counters("+"), topics.camera_status("+")]
    return [topics.status, topics.model, *cameras]


def listen_once(host: str, port: int) -> None:
    """Say before the nodeset is read, which takes seconds, where the port is taken. Raises ConfigError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        where, reason = host_and_port(host, port), error.strerror or error
        raise ConfigError(f"host, port: cannot listen on {where} ({reason}); end what uses it.") from error
