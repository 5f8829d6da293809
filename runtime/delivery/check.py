"""The doctor's checks of the way to the MES: broker and outbox, opened as the inspection would, and closed again."""

import os
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from types import MappingProxyType

from core.errors import BrokerError, OutboxError
from core.files import free_space, no_new_folders
from runtime.mqtt.connection import Connection
from runtime.mqtt.connector import Connector
from runtime.mqtt.echo import NOT_HANDED_ON
from runtime.mqtt.embedded_broker import EmbeddedBroker
from runtime.mqtt.faults import Closed, Refused, Unreachable
from runtime.mqtt.message import Outgoing
from runtime.mqtt.settings import BrokerSettings
from runtime.mqtt.words import NOT_KEPT, TOPIC_REASONS
from runtime.outbox.outbox import Outbox
from runtime.outbox.settings import KEPT_BYTES, OutboxSettings

COMES_BACK_S = 5.0
CLOSED_AT_IT = (
    "it closes the connection at our message: its access list denies the topic, or {size} bytes are too large for it "
    "(mosquitto: `acl_file`, `max_packet_size`)"
)
LARGEST_EVENT = 2000
"""Bytes, except for grids of more than 3 x 3."""

SMALL_DISK = (
    "; warning: it may take {:.1f} GB in a long outage, and a full disk ends the station until the broker is back: "
    "free the disk, or set `outbox.max_events` or `max_bytes` lower, so that the oldest OK give way first"
)


def check_broker(
    settings: BrokerSettings, client_id: str, topic: str, filters: Mapping[str, int] = MappingProxyType({})
) -> str:
    """Log in, send a message of an event's size on `topic`, and wait until it comes back.

    It asks for `filters`, too, each with the QoS that it needs.

    Raises BrokerError where the broker does not take us in or does not hand it on; ConfigError where a password or
    certificate cannot be read.
    """
    host, port = settings.address
    if settings.host is None:
        with EmbeddedBroker(port):
            return f"none configured: one will be started on {host}:{port}, for a trial"
    # A client id of its own: the station's would throw a running inspection out.
    connector = Connector(settings, f"{client_id}-doctor")
    try:
        # With a will as the station's: some brokers refuse that alone.
        connection = connector.open(Outgoing(topic, b"", retain=True))
        try:
            kept_nowhere = _send_to_ourselves(connection, topic, filters)
        finally:
            connection.close()
    except Unreachable as error:
        raise BrokerError(
            f"no broker to be used at {host}:{port} ({error}); start it, or check broker.host, broker.port and the "
            "firewall."
        ) from error
    except Refused as error:
        raise BrokerError(f"{host}:{port} answers and refuses us: {error}.") from error
    losses = "".join(f"; {loss}" for loss in (*connector.terms.losses, *kept_nowhere))
    return f"{host}:{port} accepts the login and delivers what we send{losses}"


def _send_to_ourselves(connection: Connection, topic: str, filters: Mapping[str, int]) -> list[str]:
    """Send a message and wait for it; say which filters get a lower QoS than they need.

    Raises Refused, with what may be at fault, or Unreachable.
    """
    message = Outgoing(topic, b'{"doctor":"%s"}' % secrets.token_hex(LARGEST_EVENT // 2 - 8).encode())
    if (objection := connection.objection(message)) is not None:
        raise Refused(objection)
    asked = {connection.subscribe(each, qos): each for each, qos in filters.items()}
    lower, is_taken = [], False
    connection.subscribe(topic)
    sent = connection.publish(message)
    until_s = time.monotonic() + COMES_BACK_S
    while (left_s := until_s - time.monotonic()) > 0:
        try:
            got = connection.poll(left_s, None)
        except Closed as lost:
            raise Refused(f"on {topic} {CLOSED_AT_IT.format(size=len(message.payload))} ({lost})") from lost
        except Unreachable as lost:
            raise Refused(f"on {topic} the connection ended: {lost}") from lost
        is_taken = is_taken or sent in got
        lower += [f"{each}: {NOT_KEPT}" for number, each in asked.items() if got.get(number, 1) < filters[each]]
        for number, reason, words in connection.rejected():
            is_denied = reason in TOPIC_REASONS
            if number == sent:
                remedy = "; let this user write there (mosquitto: `acl_file`)" * is_denied
                raise Refused(f"{words} on {topic}{remedy}")
            if number in asked:
                raise Refused(f"{words} on {asked[number]}{'; let this user read there' * is_denied}")
        for heard in connection.received():
            connection.acknowledge(heard)
            if heard.payload == message.payload:
                return lower
    if not is_taken:
        raise Refused(f"it has not acknowledged what we sent for {COMES_BACK_S:.0f} s; look at its log")
    if connection.tells_refusals:  # it took the message; that we may not read it is no fault
        return lower
    raise Refused(f"on {topic} {NOT_HANDED_ON}")


def check_outbox(settings: OutboxSettings) -> str:
    """Open it, or one beside where there is none yet, and see that its disk holds as much as it may take.

    Raises OutboxError where it cannot be written, or another process uses it.
    """
    file = Path(os.path.realpath(settings.path))
    # A station that begins meanwhile would lose a new one of its name, and its journal, when ours goes again.
    trial = file if file.exists() else file.with_name(f".{file.name}.doctor")
    with no_new_folders(file.parent):
        try:
            with closing(Outbox(settings.model_copy(update={"path": trial}))) as outbox:
                depth = outbox.depth
                outbox.require_room()
                room_bytes = shutil.disk_usage(file.parent).free + trial.stat().st_size
        except OutboxError as error:
            raise OutboxError(str(error).replace(trial.name, file.name)) from error
        finally:
            if trial != file:
                with suppress(OSError):  # it could not even be made
                    trial.unlink()
        small = SMALL_DISK.format(settings.file_bytes / 1e9) if room_bytes < settings.file_bytes + KEPT_BYTES else ""
        return f"{settings.path} can be written, {depth} events wait in it, {free_space(file.parent)}{small}"
