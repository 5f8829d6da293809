"""The gateway as a process, between a real mosquitto and asyncua's client."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from asyncua import Client, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.nodeset import MACHINE_VISION
from gateway.vision_system import NAMESPACE
from runtime.sparkplug.tags import CAMERA
from tests.gateway.events import EVENT, WRONG, with_wrong
from tests.processes import started
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import at, folder, run_command, write_config
from tests.runtime.waiting import WAIT_S

PREFIX = "pwae/site/area/line/test-1"
CLIENT = "urn:test:client"
PASSWORD = "open sesame"  # noqa: S105
PROGRAM = "from gateway.cli import opcua_gateway; opcua_gateway()"


@dataclass
class Gateway:
    """One that runs, and how a client reaches it."""

    folder: Path
    port: int
    process: "subprocess.Popen[str]"

    async def client(self, password: str = PASSWORD, name: str = "trusted/client.der") -> Client:
        # Its watchdog parts with a server that takes a second to answer, as one on a loaded machine does.
        client = Client(f"opc.tcp://127.0.0.1:{self.port}/", timeout=WAIT_S, watchdog_intervall=WAIT_S)
        client.application_uri = CLIENT
        certificate = self.folder / name
        client.set_user("scada")
        client.set_password(password)
        await client.set_security(SecurityPolicyBasic256Sha256, certificate, self.folder / f"{certificate.stem}.pem")
        return client


async def make_certificates(folder: Path) -> None:
    """Two clients' certificates, of which one is trusted."""
    names, usage = {"countryName": "DE"}, [ExtendedKeyUsageOID.CLIENT_AUTH]
    for certificate in (folder / "trusted" / "client.der", folder / "stranger.der"):
        certificate.parent.mkdir(exist_ok=True)
        await setup_self_signed_certificate(
            folder / f"{certificate.stem}.pem", certificate, CLIENT, "localhost", usage, names
        )


@pytest.fixture(scope="module")
def gateway(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "password").write_text(PASSWORD)
    asyncio.run(make_certificates(folder))
    port = free_port()
    config = {
        "stations": {"press-3": PREFIX},
        "broker": at(broker.port),
        "port": port,
        "security": {"trusted_folder": "trusted", "users": {"scada": {"password_file": "password"}}},
    }
    (folder / "gateway.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-c", PROGRAM, "gateway.yaml"]
    with started(command, folder) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "broker connected" in line:
                break
        else:
            pytest.fail("it ended before it was connected")
        yield Gateway(folder, port, process)


def test_a_client_browses_reads_is_told_of_results_and_gets_them(
    gateway: Gateway, broker: Mosquitto, tmp_path: Path
) -> None:
    async def look() -> None:
        async with await gateway.client() as client:
            await client.load_data_type_definitions()
            ours, vision = [await client.get_namespace_index(uri) for uri in (NAMESPACE, MACHINE_VISION)]
            assert ours == 3
            system = await client.nodes.objects.get_child(f"{ours}:press-3")
            assert await system.read_type_definition() == ua.NodeId(1003, vision)
            told = await subscribe(client, ua.NodeId(1024, vision), system)
            of_server = await subscribe(client, ua.NodeId(1024, vision), client.nodes.server)
            await asyncio.to_thread(simulate, tmp_path, broker, 5)
            events = [await told.get() for _ in range(5)]
            assert [event.ResultId.Id for event in events] == [(await of_server.get()).ResultId.Id for _ in range(5)]

            last = events[-1]
            code, word, body = (value.Value for value in last.ResultContent)
            event = json.loads(body)
            assert (event["verdict"]["code"], event["verdict"]["name"], event["seq"]) == (code, word, 5)
            assert (last.IsSimulated, last.ResultState, last.JobId.Id, last.SourceName) == (True, 1, "", "press-3")
            assert (last.InternalRecipeId.Id, last.InternalRecipeId.Version) == ("simulated", event["model"]["version"])
            assert last.Message.Text == f"top: {word}"

            results = await system.get_child(f"{vision}:ResultManagement")
            asked = ua.ResultIdDataType(Id=event["id"])
            method = f"{vision}:GetResultById"
            _handle, result, error = await results.call_method(method, asked, ua.Variant(0, ua.VariantType.Int32))
            assert (error, result.ResultId.Id, result.MeasId.Id) == (0, event["id"], f"{event['boot_id']}/top/5")
            with pytest.raises(ua.UaStatusCodeError, match="BadNotFound"):
                await results.call_method(method, ua.ResultIdDataType(Id="none"), ua.Variant(0, ua.VariantType.Int32))

            flat = await read(client, "press-3.top.VerdictCode", "press-3.top.EventSeq", "press-3.top.PartId")
            assert [value.Value.Value for value in flat] == [code, 5, None]
            assert flat[0].SourceTimestamp.timestamp() == pytest.approx(last.CreationTime.timestamp())
            assert flat[2].StatusCode.name == "BadNoData"
            state = await read(client, "press-3.VisionStateMachine.CurrentState", "Broker", "press-3.ModelName")
            assert all(value.SourceTimestamp and value.ServerTimestamp for value in (*flat, *state))
            older = {**json.loads(events[0].ResultContent[2].Value), "replayed": True}
            publish(broker, "camera/top/result", json.dumps(older))
            assert (await told.get()).ResultId.Id == events[0].ResultId.Id
            assert [value.Value.Value for value in await read(client, "press-3.top.EventSeq")] == [5]
            await until(client, "press-3.top.CountersOk", lambda value: value.Value.Value is not None)
            await until(client, "press-3.VisionStateMachine.CurrentState", says("Halted"))
            # What comes of a station that is gone, as a broker hands over what it retained, is the last that was known.
            publish(
                broker, "camera/top/counters", json.dumps({"ok": 77, "not_ok": 0, "not_decidable": 0, "discarded": 0})
            )
            await until(client, "press-3.top.CountersOk", lambda value: value.Value.Value == 77)
            (counted,) = await read(client, "press-3.top.CountersOk")
            assert counted.StatusCode.name == "UncertainLastUsableValue"
            with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied|BadNotWritable"):
                await client.get_node("ns=3;s=press-3.top.VerdictCode").write_value(ua.Variant(1, ua.VariantType.Int32))

    run(look())


def test_a_dead_broker_is_told_as_a_state(gateway: Gateway, broker: Mosquitto) -> None:
    async def look() -> None:
        async with await gateway.client() as client:
            await until(client, "Broker", says("connected"))
            broker.stop()
            await until(client, "press-3.VisionStateMachine.CurrentState", says("Error"))
            (link, version) = await read(client, "Broker", "press-3.StationVersion")
            assert link.Value.Value.startswith("unreachable: ")
            assert version.StatusCode.name in {"UncertainLastUsableValue", "BadWaitingForInitialData"}
            broker.start()
            await until(client, "Broker", says("connected"))
            await until(client, "press-3.VisionStateMachine.CurrentState", lambda value: not says("Error")(value))

    run(look())


def test_who_is_not_known_not_trusted_or_not_encrypted_is_refused(gateway: Gateway) -> None:
    async def look() -> None:
        client = await gateway.client("guessed")
        with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
            await client.connect()
        stranger = await gateway.client(name="stranger.der")
        with pytest.raises(ua.UaError):
            await stranger.connect()
        unsecured = Client(f"opc.tcp://127.0.0.1:{gateway.port}/")
        with pytest.raises(ua.UaError):
            await unsecured.connect()

    run(look())


def test_what_is_no_message_of_ours_is_ignored(gateway: Gateway, broker: Mosquitto) -> None:
    async def look() -> None:
        async with await gateway.client() as client:
            nested, scored = "[" * 10_000, '{"score": 5, "worst_tile": null, "evidence": null, "verdict": %s}'
            good = '{"code": 1, "name": "OK", "reason": []}'
            for topic, payload in (("status", "{}"), ("camera/top/result", "[1"), ("camera/x/status", '{"state": 1}')):
                publish(broker, topic, payload)
            for topic, payload in (("camera/top/counters", nested), ("camera/top/result", scored % good)):
                publish(broker, topic, payload)
            online = {"state": "online", "reason": "", "version": "9", "boot_id": "b"}
            publish(broker, "status", json.dumps(online))
            await until(client, "press-3.VisionStateMachine.CurrentState", says("Operational"))
            assert [value.Value.Value for value in await read(client, "press-3.StationVersion")] == ["9"]

    run(look())


def test_a_malformed_event_is_told_of_nobody_and_shown_nowhere(gateway: Gateway, broker: Mosquitto) -> None:
    async def look() -> None:
        async with await gateway.client() as client:
            vision = await client.get_namespace_index(MACHINE_VISION)
            told = await subscribe(client, ua.NodeId(1024, vision), client.nodes.server)
            for key, value in WRONG:
                publish(broker, "camera/side/result", json.dumps(with_wrong(key, value)))
            publish(broker, "camera/side/counters", '{"ok": 1e3, "not_ok": 0, "not_decidable": 0, "discarded": 0}')
            publish(broker, "camera/side/gap", '{"first_seq": -1, "last_seq": 99999999999999999999}')
            publish(broker, "camera/side/status", '{"state": ["streaming"], "reason": ""}')
            publish(broker, "status", '{"state": "online", "reason": "", "version": 9, "boot_id": null}')
            for name in ("StationState", "ResultManagement", "a.b", "a b"):  # where something else is, or no name
                publish(broker, f"camera/{name}/result", json.dumps(EVENT))
            passed = {**EVENT, "seq": 8, "verdict": {"code": 1, "name": "OK", "reason": []}}
            publish(broker, "camera/side/result", json.dumps(passed))
            await until(client, "press-3.side.EventSeq", lambda value: value.Value.Value == 8)
            assert (await told.get()).Message.Text == "side: OK", "of the last one alone"
            shown = await read(client, *(f"press-3.side.{tag.replace('/', '')}" for tag in CAMERA))
            known = {tag for tag, value in zip(CAMERA, shown, strict=True) if value.Value.Value is not None}
            assert not {tag for tag in known if tag.startswith(("Gap", "Counters", "Camera", "Part"))}
            assert {"Verdict/Code", "Score/Value", "WorstTile/Row", "Event/Simulated"} <= known

    run(look())


def test_its_key_is_its_own_and_a_signal_ends_it(gateway: Gateway) -> None:
    assert (gateway.folder / "opcua-gateway.key").stat().st_mode & 0o777 == 0o600
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(WAIT_S) == 0


def simulate(folder_: Path, broker: Mosquitto, parts: int) -> None:
    config = write_config(folder_, folder_ / "no-bundle", {"top": folder(folder_)}, broker=at(broker.port))
    station = run_command("simulate", str(config), "--rate", "20", "--parts", str(parts), folder=folder_)
    assert station.wait(WAIT_S) == 0


def publish(broker: Mosquitto, topic: str, payload: str) -> None:
    said = ["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", f"{PREFIX}/{topic}", "-m", payload]
    subprocess.run(said, check=True)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, WAIT_S))


async def subscribe(client: Client, event_type: ua.NodeId, node: Any) -> "asyncio.Queue[Any]":
    told: asyncio.Queue[Any] = asyncio.Queue()

    class Handler:
        def event_notification(self, event: Any) -> None:
            told.put_nowait(event)

    subscription = await client.create_subscription(50, Handler())
    await subscription.subscribe_events(node, event_type)
    return told


async def read(client: Client, *names: str) -> list[ua.DataValue]:
    return [await client.get_node(f"ns=3;s={name}").read_data_value(raise_on_bad_status=False) for name in names]


async def until(client: Client, name: str, reached: Callable[[ua.DataValue], bool]) -> None:
    until_s = time.monotonic() + WAIT_S
    while not reached((await read(client, name))[0]):
        assert time.monotonic() < until_s, (await read(client, name))[0]
        await asyncio.sleep(0.02)


def says(text: str) -> Callable[[ua.DataValue], bool]:
    return lambda value: getattr(value.Value.Value, "Text", value.Value.Value) == text
