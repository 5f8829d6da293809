"""Readiness: waiting for sockets of any number; `select` knows none above 1023."""

import math
import select
import socket
from collections.abc import Sequence


def wait_ready(
    readers: Sequence[socket.socket], writers: Sequence[socket.socket], timeout_s: float
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Wait up to `timeout_s` until one of `readers` can be read or one of `writers` written; give those that can.

    One that is broken can be read, and written: whoever tries is told why.
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
