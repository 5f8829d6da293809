"""One connection: TLS, and the broker's own limit on messages under way."""

import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from core.errors import ConfigError
from runtime.mqtt.connector import Connector
from runtime.mqtt.faults import Refused, TakenOver, Unreachable
from runtime.mqtt.message import Message, Outgoing
from runtime.mqtt.settings import BrokerSettings, TlsSettings
from runtime.mqtt.tls import tls_context
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.odd_broker import PUBACK, SUBSCRIBE, good, odd_broker, packet
from tests.runtime.waiting import WAIT_S, wait_until


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and certificates by it: for `localhost` only, one of them expired, one for a station, a weak one."""
    folder = tmp_path_factory.mktemp("certificates")
    script = """
    new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    by="-CA ca.crt -CAkey ca.key -CAcreateserial"
    openssl req -x509 $new -days 2 -keyout ca.key -out ca.crt -subj /CN=test-ca
    openssl req -x509 -newkey rsa:512 -nodes -days 2 -keyout weak.key -out weak.crt -subj /CN=weak
    openssl req $new -keyout server.key -out server.csr -subj /CN=localhost
    printf 'subjectAltName=DNS:localhost' > san
    openssl x509 -req -in server.csr $by -days 2 -extfile san -out server.crt
    openssl x509 -req -in server.csr $by -days -1 -extfile san -out expired.crt
    openssl req $new -keyout station.key -out station.csr -subj /CN=station
    openssl x509 -req -in station.csr $by -days 2 -out station.crt
    openssl pkey -in station.key -aes256 -passout pass:x -out locked.key
    chmod 644 *.key
    """
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True, capture_output=True)
    folder.chmod(0o755)
    return folder


def connector(broker: Mosquitto, host: str, ca_file: Path | None) -> Connector:
    tls = TlsSettings(ca_file=ca_file)
    return Connector(BrokerSettings(host=host, port=broker.port, tls=tls), "station")


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_takes_a_broker_only_with_the_right_certificate_and_name(mosquitto: Mosquitto, certificates: Path) -> None:
    mosquitto.stop()
    mosquitto.extra += f"certfile {certificates}/server.crt\nkeyfile {certificates}/server.key\n"
    mosquitto.start()
    ca_file = certificates / "ca.crt"
    connection = connector(mosquitto, "localhost", ca_file).open()
    number = connection.publish(Outgoing("a", b"{}"))
    assert list(connection.poll(5.0, None)) == [number]
    connection.close()
    with pytest.raises(Refused, match=r"not trusted .*broker\.tls\.ca_file"):
        connector(mosquitto, "localhost", None).open()
    with pytest.raises(Refused, match=r"not trusted .*a name from the certificate"):
        connector(mosquitto, "127.0.0.1", ca_file).open()
    mosquitto.stop()
    mosquitto.extra = mosquitto.extra.replace("server.crt", "expired.crt")
    mosquitto.start()
    with pytest.raises(Refused, match=r"expired.*renewed, or set this machine's clock"):
        connector(mosquitto, "localhost", ca_file).open()
    mosquitto.stop()
    mosquitto.extra = "allow_anonymous true\n"
    mosquitto.start()
    with pytest.raises(Unreachable, match=r"where TLS begins; .*broker\.port"):
        connector(mosquitto, "localhost", ca_file).open()


@pytest.mark.parametrize("protocol", [5, "3.1.1"])
def test_a_broker_that_asks_for_a_certificate_gets_the_stations_or_refuses(
    mosquitto: Mosquitto, certificates: Path, protocol: object
) -> None:
    mosquitto.stop()
    mosquitto.extra += f"certfile {certificates}/server.crt\nkeyfile {certificates}/server.key\n"
    mosquitto.extra += f"cafile {certificates}/ca.crt\nrequire_certificate true\n"
    mosquitto.start()
    own = {"cert_file": certificates / "station.crt", "key_file": certificates / "station.key"}
    broker = {"host": "localhost", "port": mosquitto.port, "protocol": protocol}
    tls = {"ca_file": certificates / "ca.crt"}
    Connector(BrokerSettings.model_validate({**broker, "tls": {**tls, **own}}), "station").open().close()
    with pytest.raises(Refused, match=r"broker\.tls\.cert_file"):
        Connector(BrokerSettings.model_validate({**broker, "tls": tls}), "station").open()


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no-such-ca"):
        tls_context(TlsSettings(ca_file=tmp_path / "no-such-ca"))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"ca_file": "ca.key"}, r"broker\.tls\.ca_file: .*ca\.key cannot be used \(it holds no certificate in PEM\)"),
        ({"cert_file": "station.key"}, r"broker\.tls\.cert_file: .*station\.key .* no certificate in PEM"),
        ({"cert_file": "station.crt"}, r"broker\.tls\.key_file: .*station\.crt .* holds no key"),
        ({"cert_file": "station.crt", "key_file": "ca.key"}, r"key_file: .*ca\.key .* or not that of .*station\.crt"),
        ({"cert_file": "weak.crt", "key_file": "weak.key"}, r"cert_file: .*weak\.crt is too weak .*EE_KEY_TOO_SMALL"),
        ({"cert_file": "station.crt", "key_file": "locked.key"}, r"key_file: .*locked\.key .*it has a passphrase"),
    ],
)
def test_of_certificate_and_key_the_one_that_cannot_be_used_is_named(
    certificates: Path, files: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        tls_context(TlsSettings.model_validate({key: certificates / name for key, name in files.items()}))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("keys", [{"ca_file"}, {"cert_file"}, {"cert_file", "key_file"}])
def test_a_pipe_in_the_place_of_a_certificate_or_key_is_refused_and_not_waited_for(
    certificates: Path, tmp_path: Path, keys: set[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    own = certificates / "station.crt"
    whole = {"ca_file": certificates / "ca.crt", "cert_file": own, "key_file": own}
    with pytest.raises(ConfigError, match="pipe.* cannot be used .it is no file"):
        tls_context(TlsSettings.model_validate(whole | dict.fromkeys(keys, tmp_path / "pipe")))


def test_no_more_is_under_way_than_the_broker_takes(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    mosquitto.extra += "max_inflight_messages 3\n"
    mosquitto.start()
    connection = Connector(BrokerSettings(host="127.0.0.1", port=mosquitto.port, max_inflight=50), "s").open()
    assert connection.room == 3
    numbers = [connection.publish(Outgoing("a", b"{}")) for _ in range(3)]
    assert connection.room == 0
    acknowledged: list[int] = []
    while len(acknowledged) < 3:
        acknowledged += connection.poll(5.0, None)
    assert (acknowledged, connection.room) == (numbers, 3)
    connection.close()


def test_what_the_broker_handed_over_is_acknowledged_in_its_order_whatever_is_done_first() -> None:
    """Some brokers end the connection at another order."""

    def two_and_no_text(first: int, body: bytes) -> bytes | None:
        if first >> 4 != SUBSCRIBE:
            return None
        topics = {1: b"a", 2: b"\xff", 3: b"a"}
        messages = (b"\0%c%s\0%c\0{}" % (len(topic), topic, number) for number, topic in topics.items())
        return good(first, body) + b"".join(packet(0x32, message) for message in messages)

    with odd_broker(two_and_no_text) as broker:
        connection = Connector(BrokerSettings(host="127.0.0.1", port=broker.port), "s").open()
        connection.subscribe("a")
        heard: list[Message] = []
        while len(heard) < 2:
            connection.poll(WAIT_S, None)
            heard += connection.received()
        connection.acknowledge(heard[1])
        connection.acknowledge(heard[0])
        wait_until(lambda: connection.poll(0.05, None) == {} and broker.count(PUBACK) == 3)
        connection.close()
    acknowledged = [body[:2] for first, body in broker.heard if first >> 4 == PUBACK]
    assert acknowledged == [b"\0\1", b"\0\2", b"\0\3"]


def test_a_broker_that_says_so_is_believed_that_our_client_id_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client, _address = server.accept()
            with client:
                client.recv(4096)
                client.sendall(bytes([0x20, 3, 0, 0, 0]))  # CONNACK, success
                client.sendall(bytes([0xE0, 2, 0x8E, 0]))  # DISCONNECT, session taken over

        thread = threading.Thread(target=answer)
        thread.start()
        connection = Connector(BrokerSettings(host="127.0.0.1", port=server.getsockname()[1]), "s").open()
        with pytest.raises(TakenOver, match="Session taken over"):
            connection.poll(WAIT_S, None)
        connection.close()
        thread.join()


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="refused"):
        Connector(BrokerSettings(host="127.0.0.1", port=free_port()), "s").open()
    with pytest.raises(Unreachable):
        Connector(BrokerSettings(host="no-such-host.invalid", port=1883), "s").open()
