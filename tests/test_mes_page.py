"""What docs/mes.md shows is what it says: its examples have the contract's keys, its commands run as they stand."""

import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.runtime.broker import Mosquitto
from tests.runtime.command import at, run_command
from tests.runtime.contract import schema
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S, wait_until

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "mes.md").read_text(encoding="utf-8")


def indented_after(words: str) -> str:
    """The first indented block behind `words`, as somebody copies it."""
    block = re.search(r"\n\n((?:    .*\n|\n(?=    ))+)", PAGE[PAGE.index(words) :])
    assert block is not None
    return block[1]


def shown() -> list[tuple[str, dict[str, Any]]]:
    """The payloads on the page, by the names of their schemas."""
    (table,) = re.findall(r"```\n(camera/top/counters .*?)```", PAGE, re.DOTALL)
    found = []
    for line in table.replace("\n  ", "").splitlines():
        topic, payload = line.split(" ", 1)
        leaf = topic.rsplit("/", 1)[-1]
        found.append(("camera_status" if topic.startswith("camera/") and leaf == "status" else leaf, payload))
    found += [
        (re.findall(r"urn:p-wae:(\w+):1", each)[0], each) for each in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    ]
    return [(name, json.loads(payload)) for name, payload in found]


@pytest.mark.parametrize(("name", "payload"), shown(), ids=[name for name, _payload in shown()])
def test_an_example_has_the_keys_of_its_schema(name: str, payload: dict[str, Any]) -> None:
    def compare(told: Any, described: dict[str, Any]) -> None:
        if isinstance(told, dict) and "properties" in described:
            assert set(described.get("required", ())) <= set(told) <= set(described["properties"])
            for key, value in told.items():
                compare(value, described["properties"][key])

    compare(payload, schema(name))


@pytest.mark.machine
def test_its_certificates_are_trusted_also_by_a_python_that_checks_strictly(tmp_path: Path) -> None:
    subprocess.run(
        ["bash", "-ec", indented_after("A CA and a certificate")], cwd=tmp_path, check=True, capture_output=True
    )
    ours, theirs = ssl.create_default_context(cafile=tmp_path / "ca.crt"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.verify_flags |= ssl.VERIFY_X509_STRICT  # the default since Python 3.13
    theirs.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(there, here, server_hostname="mes.example.com")
    server = theirs.wrap_bio(here, there, server_side=True)
    for end in (client, server, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() == "TLSv1.3"


def pauses_as_shown(where: str) -> None:
    """The command that the page shows is answered by the reply that it shows, at the broker that is `where`."""
    ask, *reply = indented_after("| `recalibrate` |").strip().rsplit("\n", 1)
    command = ["bash", "-ec", ask.replace("-h mes.example.com", where)]
    told: list[dict[str, Any]] = []

    def is_answered() -> bool:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_S)
        told.extend(json.loads(line) for line in done.stdout.splitlines())
        return bool(told)

    wait_until(is_answered)
    assert {**told[0], "time": ""} == {**json.loads(reply[0]), "time": ""}


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Mosquitto]:
    """Another broker, to which that of the line has a bridge."""
    (tmp_path / "plant").mkdir()
    broker = Mosquitto(tmp_path / "plant")
    broker.start()
    yield broker
    broker.stop()


def test_over_its_bridge_an_mes_has_every_event_and_is_answered(
    tmp_path: Path, mosquitto: Mosquitto, plant: Mosquitto
) -> None:
    bridge = indented_after("which a bridge joins to the plant's").replace(
        "mes.example.com:1883", f"127.0.0.1:{plant.port}"
    )
    mosquitto.stop()
    mosquitto.extra += f"{re.sub('^    ', '', bridge, flags=re.MULTILINE)}restart_timeout 1\n"
    mosquitto.start()
    (simulated,) = re.findall(r"^You need no camera.*?```yaml\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    config = tmp_path / "inspection.yaml"
    config.write_text(yaml.safe_dump({**yaml.safe_load(simulated), "broker": at(mosquitto.port)}))
    mes = Subscriber(plant.port)
    station = run_command("simulate", config, "--rate", "20", folder=tmp_path)
    mes.wait_for_events(10)
    plant.stop()
    plant.start()
    mes.wait_for_events(60)
    pauses_as_shown(f"-h 127.0.0.1 -p {plant.port}")
    station.terminate()
    station.communicate(timeout=WAIT_S)
    mes.wait_for(lambda: mes.events("press-3/status")[-1]["state"] == "offline")
    assert {event["seq"] for event in mes.events()} == set(range(1, len({event["id"] for event in mes.events()}) + 1))
    mes.close()


def test_by_its_access_list_a_station_lives_and_a_command_is_answered_as_shown(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    listed = indented_after("the broker's access list has to say who")
    (tmp_path / "acl").write_text(re.sub("^    ", "", listed, flags=re.MULTILINE))
    passwords, secret = tmp_path / "passwords", tmp_path / "secret"
    secret.write_text("secret")
    passwords.touch()
    for user in re.findall(r"user (\S+)", listed):
        subprocess.run(["mosquitto_passwd", "-b", passwords, user, "secret"], check=True)
    mosquitto.stop()
    mosquitto.extra = f"password_file {passwords}\nacl_file {tmp_path / 'acl'}\nmax_queued_messages 1000\n"
    mosquitto.start()
    (simulated,) = re.findall(r"^You need no camera.*?```yaml\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    config = tmp_path / "inspection.yaml"
    broker = at(mosquitto.port, username="press-3", password_file=str(secret))
    config.write_text(yaml.safe_dump({**yaml.safe_load(simulated), "broker": broker}))
    station = run_command("simulate", config, "--rate", "20", folder=tmp_path)
    pauses_as_shown(f"-h 127.0.0.1 -p {mosquitto.port} -u engineer -P secret")
    station.terminate()
    _out, err = station.communicate(timeout=WAIT_S)
    assert "refuses" not in err
