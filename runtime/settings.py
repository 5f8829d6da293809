"""The configuration of `run-inspection`: what is judged, with which bundle, and who is told."""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints, field_validator, model_validator

from core.config import Settings
from core.errors import ConfigError
from runtime.camera_settings import CameraSettings
from runtime.topic import Name, expand

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
Verb = Literal["pause", "resume", "snapshot", "reload", "recalibrate"]
"""A command over MQTT."""
Kind = Literal["auto", "tensorrt", "onnxruntime-tensorrt", "onnxruntime-cuda", "onnxruntime-cpu"]
"""A backend."""


class BatchingSettings(Settings):
    """A batch goes when it is full, or when its oldest frame has waited long enough."""

    max_batch: PositiveInt = 8
    max_wait_ms: float = Field(default=20.0, ge=0)


class BackendSettings(Settings):
    """Who computes."""

    kind: Kind = "auto"
    """`auto`: an engine of the bundle that fits this machine, else ONNX Runtime on the GPU, else on the CPU; the log
    says which and why. Any other that cannot be had here is an error."""
    threads: int = Field(default=0, ge=0)
    """Of ONNX Runtime on the CPU. 0: every core."""


class TlsSettings(Settings):
    """An encrypted connection, at least TLS 1.2. The broker's certificate and host name are checked."""

    ca_file: Path | None = None
    """Certificates to trust, PEM. None: the system's."""
    cert_file: Path | None = None
    """This station's own certificate, PEM, where the broker asks for one."""
    key_file: Path | None = None
    verify: bool = True
    """False gives up knowing whom the events go to. For a trial only."""


class BrokerSettings(Settings):
    """The MQTT broker. Without `host` one is started in this process, for a trial (pip install 'p-wae[trial]')."""

    host: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    """None: 1883, with `tls` 8883."""
    protocol: Literal[5, "3.1.1"] = 5
    client_id: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    """Must differ between stations. None: `pwae-<site>-<area>-<line>-<station>`."""
    username: str | None = None
    password_env: str | None = None
    """The environment variable that holds the password. A password never stands in this file."""
    password_file: Path | None = None
    """The file whose first line is the password."""
    tls: TlsSettings | None = None
    keepalive_s: int = Field(default=30, ge=5, le=3600)
    connect_timeout_s: PositiveFloat = 10.0
    """Where all cameras are files, the run ends with exit code 8 after this long without the broker."""
    max_inflight: int = Field(default=20, ge=1, le=1000)
    """Messages sent and not yet acknowledged. A lower limit of the broker's is kept to."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.host is None and (self.username or self.tls):
            raise ValueError("`username` and `tls` need `host`: the broker started in this process knows neither")
        if self.password_env and self.password_file:
            raise ValueError("give `password_env` or `password_file`, not both")
        if (self.password_env or self.password_file) and not self.username:
            raise ValueError("a password needs `username`")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        return self.host or "127.0.0.1", self.port or (8883 if self.tls else 1883)

    def password(self) -> str | None:
        """Look the password up. Raises ConfigError where it is not where the configuration says."""
        return _secret("broker.password", self.password_env, self.password_file)


class OutboxSettings(Settings):
    """Where events wait for the broker. When a bound is reached the oldest OK go first, NotOK last."""

    path: Path = Path("pwae-outbox.sqlite")
    max_events: PositiveInt = 500_000
    max_bytes: PositiveInt = 1_000_000_000
    """Of events; the file on disk is somewhat larger."""
    max_age_s: PositiveFloat = 30 * 86400.0


class EvidenceSettings(Settings):
    """Pictures of what was not passed, as files. When there are too many the oldest OK go first, NotOK last."""

    folder: Path
    every_nth_ok: int = Field(default=0, ge=0)
    """Of each camera's OK parts also every n-th. 0: none."""
    max_age_s: PositiveFloat = 30 * 86400.0
    max_bytes: PositiveInt = 5_000_000_000
    min_free_bytes: int = Field(default=500_000_000, ge=0)
    """With less than this free on the disk no evidence is written: the outbox needs the rest."""


class ViewSettings(Settings):
    """The web page on the box, and /metrics, /healthz, /readyz beside it (pip install p-wae[view])."""

    host: str = "127.0.0.1"
    """The address to listen on. Other than this machine's own needs a token."""
    port: int = Field(default=8080, ge=1, le=65535)
    token_env: str | None = None
    """The environment variable that holds the token. A token never stands in this file."""
    token_file: Path | None = None
    """The file whose first line is the token."""

    @model_validator(mode="after")
    def _is_guarded(self) -> Self:
        if self.token_env and self.token_file:
            raise ValueError("give `token_env` or `token_file`, not both")
        if not (self.is_local or self.token_env or self.token_file):
            raise ValueError(
                f"everybody who reaches {self.host} could look: give `token_env` or `token_file`, or leave `host` out"
            )
        return self

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOCAL_HOSTS

    def token(self) -> str | None:
        """Look the token up. Raises ConfigError where it is not where the configuration says, or empty."""
        token = _secret("view.token", self.token_env, self.token_file)
        if token == "":
            raise ConfigError("view: the token is empty; give a long random one (openssl rand -hex 16).")
        return token


class InspectionSettings(Settings):
    """The whole file."""

    bundle: Path
    """The folder that `export-engine` wrote."""
    bundle_key: Path | None = None
    """The site's public key in PEM: a bundle that is not signed with it is refused. None: no signature is asked for."""
    station: Name
    site: Name = "site"
    area: Name = "area"
    line: Name = "line"
    topic_prefix: str = "pwae/{site}/{area}/{line}/{station}"
    """Where the events go in the plant's topic tree; `{site}`, `{area}`, `{line}` and `{station}` are filled in."""
    cameras: dict[Name, CameraSettings] = Field(min_length=1)
    batching: BatchingSettings = BatchingSettings()
    backend: BackendSettings = BackendSettings()
    broker: BrokerSettings = BrokerSettings()
    outbox: OutboxSettings = OutboxSettings()
    commands: tuple[Verb, ...] = ()
    """What may be asked for over MQTT. The broker's access list has to say who may ask."""
    metrics_every_s: PositiveFloat = 10.0
    """How often the `metrics` topic is told the station's speed."""
    evidence: EvidenceSettings | None = None
    """None: no pictures are kept."""
    view: ViewSettings | None = None
    """None: no web page and no metrics."""

    @field_validator("cameras", mode="before")
    @classmethod
    def _names_are_text(cls, cameras: object) -> object:
        return {str(name): camera for name, camera in cameras.items()} if isinstance(cameras, dict) else cameras

    @model_validator(mode="after")
    def _streams_differ(self) -> Self:
        named = [stream for name, camera in self.cameras.items() for stream in camera.streams(name)]
        doubles = sorted({stream for stream in named if named.count(stream) > 1})
        if doubles:
            raise ValueError(f"two regions or cameras would both be told of as `{doubles[0]}`; rename one")
        return self

    @model_validator(mode="after")
    def _has_prefix(self) -> Self:
        expand(self.topic_prefix, self._names)
        return self

    @property
    def _names(self) -> dict[str, str]:
        return {"site": self.site, "area": self.area, "line": self.line, "station": self.station}

    @property
    def streams(self) -> dict[str, CameraSettings]:
        """Every stream of parts that is judged, by the name its events carry: a camera, or each of its regions."""
        return {stream: camera for name, camera in self.cameras.items() for stream in camera.streams(name)}

    @property
    def prefix(self) -> str:
        """The topic prefix, filled in."""
        return expand(self.topic_prefix, self._names)

    @property
    def client_id(self) -> str:
        """The MQTT client id: stable, so that the broker knows this station again."""
        return self.broker.client_id or "-".join(["pwae", *self._names.values()])


def _secret(key: str, variable: str | None, file: Path | None) -> str | None:
    """Look up what `<key>_env` or `<key>_file` point at. Raises ConfigError where it is not there."""
    if variable is not None:
        if variable not in os.environ:
            raise ConfigError(f"{key}_env: the environment variable {variable} is not set.")
        return os.environ[variable]
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").split("\n")[0].strip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{key}_file: {file} cannot be read; check it.") from error
    return None
