"""A turn on a connection's socket: what is to be read and written there, with a bell to wake whoever waits."""

import math
import select
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

from core.errors import one_line
from runtime.mqtt.faults import Closed, Unreachable
from runtime.mqtt.words import CLOSED, NO_MQTT
from runtime.threads.bell import Bell

MOST_READ = 50
"""Times that is read before anything else has its turn."""


def send_at_once(client: paho.Client) -> None:
    """Let small messages go instead of waiting for the acknowledgement of earlier ones (Nagle)."""
    _set(client, socket.TCP_NODELAY)


def turn(client: paho.Client, timeout_s: float, wake: Bell | None) -> Unreachable | None:
    """Do what is to be done on the socket, after waiting up to `timeout_s` for something to do, or for `wake` to ring.

    Returns why the connection is gone; None where it stands.
    """
    mine: Any = client.socket()
    if mine is None:
        return Closed(CLOSED)
    if isinstance(mine, ssl.SSLSocket) and mine.pending():
        timeout_s = 0.0
    # The broker's small answers wait, too, unless we say at once that the earlier ones came; it has to be repeated.
    _set(client, socket.TCP_QUICKACK)
    readers = [mine] if wake is None else [mine, wake.heard]
    writers = [mine] if client.want_write() else []
    readable, writable = wait_ready(readers, writers, max(0.0, timeout_s))
    if wake is not None and wake.heard in readable:
        wake.hear()
    try:
        result = MQTTErrorCode.MQTT_ERR_SUCCESS
        if mine in readable or timeout_s == 0.0:
            result = client.loop_read()
        for _ in range(MOST_READ):  # it takes about one message at a time, and all around that costs as much
            if result != MQTTErrorCode.MQTT_ERR_SUCCESS or client.socket() is None:
                break
            if not wait_ready([mine], [], 0.0)[0]:
                break
            result = client.loop_read()
        if mine in writable and result == MQTTErrorCode.MQTT_ERR_SUCCESS:
            result = client.loop_write()
        if result == MQTTErrorCode.MQTT_ERR_SUCCESS:
            result = client.loop_misc()
    except Exception as error:  # whatever comes over the line, it costs the connection and no more
        return Unreachable(f"{NO_MQTT} ({one_line(error)})")
    return None if result == MQTTErrorCode.MQTT_ERR_SUCCESS else Closed(CLOSED)


def wait_ready(
    readers: Sequence[socket.socket], writers: Sequence[socket.socket], timeout_s: float
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Wait up to `timeout_s` until one of `readers` can be read or one of `writers` written; give those that can.

    Their numbers may be any: `select` knows none above 1023. One that is broken can be read, and written: whoever tries
    is told why.
    """
    wanted: dict[int, int] = {}
    for each, event in (*((one, select.POLLIN) for one in readers), *((one, select.POLLOUT) for one in writers)):
        wanted[each.fileno()] = wanted.get(each.fileno(), 0) | event
    poll = select.poll()
    for number, events in wanted.items():
        poll.register(number, events)
    ready = dict(poll.poll(math.ceil(timeout_s * 1000)))
    broken = select.POLLERR | select.POLLHUP | select.POLLNVAL
    return (
        [one for one in readers if ready.get(one.fileno(), 0) & (select.POLLIN | broken)],
        [one for one in writers if ready.get(one.fileno(), 0) & (select.POLLOUT | broken)],
    )


def _set(client: paho.Client, option: int) -> None:
    mine: Any = client.socket()
    if mine is not None:
        mine.setsockopt(socket.IPPROTO_TCP, option, 1)
