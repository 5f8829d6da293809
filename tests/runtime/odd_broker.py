"""A broker that answers as it should, but for what a test wants otherwise."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 10, 12, 14
Answer = Callable[[int, bytes], bytes | None]
"""Takes a packet's first byte and body, gives what is sent back; None: what a good broker sends."""


def packet(first: int, body: bytes) -> bytes:
    """A packet of less than 128 bytes."""
    return bytes([first, len(body)]) + body


def published(topic: bytes, payload: bytes, retain: bool = False) -> bytes:
    """A message of MQTT 5 with QoS 0."""
    return packet(0x30 | retain, len(topic).to_bytes(2) + topic + b"\0" + payload)


def number_of(body: bytes) -> bytes:
    """The number of a PUBLISH with QoS 1."""
    end = 2 + int.from_bytes(body[:2])
    return body[end : end + 2]


def good(first: int, body: bytes) -> bytes:
    """What a good broker of MQTT 5 sends back."""
    match first >> 4:
        case 1:
            return packet(0x20, b"\0\0\0")
        case 3 if first & 6:
            return packet(0x40, number_of(body))
        case 8:
            return packet(0x90, body[:2] + b"\0\1")
        case 10:
            return packet(0xB0, body[:2] + b"\0\0")
        case 12:
            return packet(0xD0, b"")
    return b""


@dataclass
class OddBroker:
    """Speaks MQTT 5, on a thread for each connection."""

    answer: Answer
    server: socket.socket
    heard: list[tuple[int, bytes]] = field(default_factory=list)
    """First byte and body of every packet."""

    @property
    def port(self) -> int:
        port: int = self.server.getsockname()[1]
        return port

    def count(self, kind: int) -> int:
        """How many packets of a kind came."""
        return sum(first >> 4 == kind for first, _body in list(self.heard))

    def serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), client.makefile("rb") as incoming:
            while head := incoming.read(2):
                length, shift, byte = head[1] & 127, 7, head[1]
                while byte & 128:
                    byte = incoming.read(1)[0]
                    length |= (byte & 127) << shift
                    shift += 7
                body = incoming.read(length)
                self.heard.append((head[0], body))
                said = self.answer(head[0], body)
                client.sendall(good(head[0], body) if said is None else said)


@contextlib.contextmanager
def odd_broker(answer: Answer) -> Iterator[OddBroker]:
    """Serve on a free port until the end; every connection is closed then."""
    clients: list[tuple[socket.socket, threading.Thread]] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = OddBroker(answer, server)

        def accept() -> None:
            while True:
                try:
                    client, _address = server.accept()
                except OSError:
                    return
                thread = threading.Thread(target=broker.serve, args=(client,), daemon=True)
                clients.append((client, thread))
                thread.start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield broker
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for client, thread in clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
                thread.join()
