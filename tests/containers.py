"""Dockerfile and compose.yaml as they stand, and what runs their services as an engine would, without one.

Each service runs in namespaces, on a root of its own that cannot be written, without rights, with the user,
environment, mounts, secrets and command that the files give it. Its files are this machine's, with this Python's
packages as /opt/p-wae.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.runtime.waiting import WAIT_S

ROOT = Path(__file__).parents[1]
UID = 10001
SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOOPBACK_UP = (
    "import fcntl, socket, struct; s = socket.socket(); "
    "fcntl.ioctl(s, 0x8914, struct.pack('16sh', b'lo', 1)); print('up', flush=True); import time; time.sleep(600)"
)


def dockerfile() -> dict[str, list[tuple[str, str]]]:
    """By stage: its instructions, the first of them FROM."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages: dict[str, list[tuple[str, str]]] = {}
    stage = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            rest, stage = rest.split(" AS ")
            stages[stage] = []
        stages[stage].append((word, rest))
    return stages


def of(stage: str, word: str) -> list[str]:
    return [rest for each, rest in dockerfile()[stage] if each == word]


def compose(**variables: str) -> dict[str, Any]:
    """The services of compose.yaml with its variables filled in."""
    text = (ROOT / "compose.yaml").read_text()
    known = {"BUNDLE": "/bundle", "PICTURES": "/pictures", **variables}
    content: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(\w+):\?[^}]*\}", lambda m: known[m[1]], text))
    return content


SERVICES = list(compose()["services"])


HONOURED = {
    *("image", "build", "user", "entrypoint", "command", "volumes", "secrets", "healthcheck"),
    *("read_only", "tmpfs", "cap_drop", "security_opt"),
}
NOT_FOR_US = {"ports", "init", "restart", "depends_on"}
"""What only an engine can do."""


@dataclass
class Engine:
    """Runs services of compose.yaml: all in one network of their own, each on its own root."""

    folder: Path
    project: Path
    """A copy of what compose.yaml mounts, so that secrets are made there."""
    content: dict[str, Any]
    running: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "setpriv"))):
            pytest.skip("runs services as an engine does: needs root, unshare, nsenter and setpriv (util-linux)")
        command = ["unshare", "--net", sys.executable, "-c", LOOPBACK_UP]
        self.network = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.network.stdout is not None
        if (answer := self.network.stdout.readline()) != "up\n":
            pytest.skip(f"this machine lets even root make no namespaces: {answer}")

    def enter(self, *options: str, pid: int = 0) -> list[str]:
        return ["nsenter", "--target", str(pid or self.network.pid), "--net", *options, "--"]

    def start(self, name: str) -> None:
        service = self.content["services"][name]
        is_ours = "build" in service
        owner = service.get("user") or of("cpu", "USER")[0]
        script = self._root(name, service, owner, is_ours)
        (self.folder / f"{name}.sh").write_text(script)
        command = [*self.enter(), "unshare", "--mount", "sh", str(self.folder / f"{name}.sh")]
        with (self.folder / f"{name}.log").open("a") as log:
            self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, text=True)

    def _root(self, name: str, service: dict[str, Any], owner: str, is_ours: bool) -> str:
        """Say, in shell, how the service's root is put together and what runs in it."""
        work = self.folder / name
        work.mkdir(exist_ok=True)
        root = work / "root"
        lines = [
            "set -e",
            "mount --make-rprivate /",
            f"mount -t tmpfs tmpfs {work}",
            f"mkdir {work}/up {work}/work {root}",
            f"mount -t overlay overlay -o lowerdir=/,upperdir={work}/up,workdir={work}/work {root}",
            *(f"mount --rbind {path} {root}{path}" for path in ("/proc", "/dev")),
            f"echo 127.0.0.1 localhost {' '.join(self.content['services'])} > {root}/etc/hosts",
            f"rm -rf {root}/run/secrets; mkdir -p {root}/run/secrets",
            *(f"mount -t tmpfs -o mode=1777 tmpfs {root}{path}" for path in service.get("tmpfs", [])),
        ]
        if is_ours:
            for path in {ROOT, Path(sys.prefix), Path(sys.base_prefix)}:
                lines += [f"mkdir -p {root}{path}", f"mount --rbind {path} {root}{path}"]
                lines += [f"chmod o+x {root}{parent}" for parent in path.parents]
            lines += [f"ln -sfn {sys.prefix} {root}/opt/p-wae", f"install -d -o {UID} -g {UID} {root}/station"]
        mounts = [(volume["type"], volume["source"], volume["target"]) for volume in service["volumes"]]
        mounts += [
            ("bind", self.content["secrets"][s]["file"], f"/run/secrets/{s}") for s in service.get("secrets", [])
        ]
        for kind, source, target in sorted(mounts, key=lambda mount: mount[2]):
            place, lines_before = self.project / source, [f"mkdir -p {root}{target}"]
            if kind == "volume":
                place = self.folder / "volumes" / source
                lines_before += [f"mkdir -p {place}", f"chown {owner} {place}"]
            elif place.is_file():
                lines_before = [f"mkdir -p {root}{Path(target).parent}", f"touch {root}{target}"]
            lines += [*lines_before, f"mount --bind {place} {root}{target}"]
            lines += [f"mount -o remount,bind,ro {root}{target}"] if kind == "bind" else []
        lines += [f"mount -o remount,ro {root}"] if service.get("read_only") else []
        environment, directory = [f"PATH={SBIN}"], "/"
        entrypoint, arguments = service.get("entrypoint", []), service.get("command", [])
        if is_ours:
            environment = [*of("cpu", "ENV")[0].replace("$PATH", SBIN).split(), "HOME=/station"]
            directory = of("cpu", "WORKDIR")[0]
            entrypoint = entrypoint or json.loads(of("cpu", "ENTRYPOINT")[0])
            arguments = arguments or json.loads(of("cpu", "CMD")[0])
        run = shlex.join(["env", "-i", *environment, *entrypoint, *arguments])
        inside = shlex.quote(f"cd {directory}; exec {self._stripped(owner)} {run}")
        return "\n".join([*lines, f"exec chroot {root} sh -c {inside}"]) + "\n"

    @staticmethod
    def _stripped(owner: str) -> str:
        uid, gid = owner.split(":")
        return f"setpriv --reuid {uid} --regid {gid} --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs"

    def execute(self, name: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """As `docker compose exec`."""
        owner = self.content["services"][name].get("user") or of("cpu", "USER")[0]
        path = of("cpu", "ENV")[0].replace("$PATH", SBIN).split()[0]
        inside = [*self.enter("--mount", "--root", "--wd", pid=self.running[name].pid)]
        inside += [*self._stripped(owner).split(), "env", "-i", path, *command]
        return subprocess.run(inside, check=False, capture_output=True, text=True, timeout=WAIT_S)

    def outside(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """As a program on the machine that reaches the published ports."""
        return subprocess.run([*self.enter(), *command], check=False, capture_output=True, text=True, timeout=WAIT_S)

    def mqtt(self, program: str, user: str, *arguments: str, guess: str = "") -> "subprocess.CompletedProcess[str]":
        secrets = self.project / "compose/secrets"
        password = guess or (secrets / f"{user}.password").read_text().strip()
        login = ["-h", "localhost", "-p", "8883", "--cafile", str(secrets / "ca.crt"), "-V", "5", "-q", "1"]
        return self.outside(f"mosquitto_{program}", *login, "-u", user, "-P", password, *arguments)

    def get(self, path: str, token: str = "") -> tuple[int, str]:
        fetch = (
            "import sys, urllib.request, urllib.error\n"
            f"request = urllib.request.Request('http://127.0.0.1:8080{path}')\n"
            f"request.add_header('Authorization', 'Bearer {token}')\n"
            "try: answer = urllib.request.urlopen(request, timeout=4)\n"
            "except urllib.error.HTTPError as error: answer = error\n"
            "print(answer.status, answer.read().decode())"
        )
        answer = self.outside(sys.executable, "-c", fetch)
        status, _, body = answer.stdout.partition(" ")
        return int(status or 0), body

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def stop(self, name: str) -> int:
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(WAIT_S)

    def close(self) -> None:
        for process in [*self.running.values(), self.network]:
            process.kill()
            process.wait(WAIT_S)
        assert self.network.stdout is not None
        self.network.stdout.close()
