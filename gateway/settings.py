"""The configuration of `opcua-gateway`: whom it hears, and whom it serves."""

import re
import socket
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from core.address import LOCAL_HOSTS
from core.config import Name, Settings
from core.secrets import look_up_secret
from runtime.events.topics import FORBIDDEN
from runtime.mqtt.settings import BrokerSettings, Host


class UserSettings(Settings):
    """One OPC UA user. A password never stands in this file."""

    password_env: str | None = None
    """The environment variable that holds the password."""
    password_file: Path | None = None
    """The file whose first line is the password."""

    @model_validator(mode="after")
    def _has_one_password(self) -> Self:
        if bool(self.password_env) == bool(self.password_file):
            raise ValueError("give `password_env` or `password_file`, one of them")
        return self


class SecuritySettings(Settings):
    """Signed and encrypted connections (Basic256Sha256) for users with a password; there are no others then."""

    cert_file: Path = Path("opcua-gateway.pem")
    """The gateway's own certificate, PEM. Where neither it nor the key is there, both are made at the start."""
    key_file: Path = Path("opcua-gateway.key")
    trusted_folder: Path | None = None
    """The certificates (`*.der`, `*.pem`) of the clients that are let in, or of the authorities that signed them. None:
    any client may ask, and its user's password decides."""
    users: dict[Name, UserSettings] = Field(min_length=1)

    def passwords(self) -> dict[str, str]:
        """Look up every user's password. Raises ConfigError where one is not where the configuration says, or empty."""
        found = {
            name: look_up_secret(f"security.users.{name}.password", user.password_env, user.password_file)
            for name, user in self.users.items()
        }
        return {name: password for name, password in found.items() if password is not None}  # each has one


class GatewaySettings(Settings):
    """The whole file."""

    stations: dict[Name, Annotated[str, StringConstraints(min_length=1)]] = Field(min_length=1)
    """Of each station its topic prefix, such as `pwae/site/area/line/press-3`."""
    broker: BrokerSettings
    """The stations' broker. Its `client_id` is `opcua-gateway-<machine's name>-<port>` where it is left out."""
    host: Host = "127.0.0.1"
    """The address to serve on. Another one than this machine's own needs `security`."""
    port: int = Field(default=4840, ge=1, le=65535)
    security: SecuritySettings | None = None
    """None: whoever reaches the port may read, and nothing is encrypted. For a trial on this machine."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.broker.host is None:
            raise ValueError("`broker` needs `host`: the gateway reads what stations send to a broker")
        for name, prefix in self.stations.items():
            if FORBIDDEN & set(prefix) or not all(prefix.split("/")):
                raise ValueError(
                    f"`stations.{name}`: {prefix!r} is no topic prefix; write it as the station's file has it"
                )
        if self.security is None and self.host not in LOCAL_HOSTS:
            raise ValueError(f"`host`: {self.host} can be reached from elsewhere; set `security`, or host: 127.0.0.1")
        return self

    @property
    def client_id(self) -> str:
        """The MQTT client id."""
        host = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:40]
        return self.broker.client_id or f"opcua-gateway-{host}-{self.port}"
