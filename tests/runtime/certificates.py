"""Certificates for the tests: by a CA of the plant's, and one that a camera has signed for itself."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

MAKE = """
new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
by="-CA ca.crt -CAkey ca.key -CAcreateserial -extfile san"
openssl req -x509 $new -days 2 -keyout ca.key -out ca.crt -subj /CN=plant
openssl req -x509 $new -days 2 -keyout own.key -out own.crt -subj /CN=localhost -addext basicConstraints=CA:FALSE
openssl req $new -keyout signed.key -out signed.csr -subj /CN=camera
printf 'subjectAltName=DNS:localhost' > san
openssl x509 -req -in signed.csr $by -days 2 -out signed.crt
openssl x509 -req -in signed.csr $by -days -1 -out expired.crt
cp signed.key expired.key
printf 'no certificate' > none.crt
mkfifo pipe.crt
"""


def make_certificates(folder: Path) -> Path:
    """`ca`, `own` by itself, `signed` and `expired` by the CA, each a .crt and a .key, all but the CA for localhost."""
    subprocess.run(["sh", "-ec", MAKE], cwd=folder, check=True, capture_output=True)
    return folder


@contextmanager
def behind_tls(port: int, certificate: Path) -> Iterator[int]:
    """Give the port of a server that speaks TLS before one on `port` which does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            with (
                suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as camera,
                socket.create_connection(("127.0.0.1", port)) as server,
            ):
                Thread(target=pass_on, args=(server, camera), daemon=True).start()
                pass_on(camera, server)

    class Server(ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def pass_on(from_there: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := from_there.recv(2**16):
            to.sendall(data)
        to.shutdown(socket.SHUT_RDWR)
