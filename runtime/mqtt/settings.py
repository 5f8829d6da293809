"""The part of the configuration that names the broker, and Home Assistant behind it."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from core.config import Settings, Wait
from core.errors import ConfigError
from core.secrets import look_up_secret

LONGEST_TEXT = 65_535
"""Bytes of a text, or of a password, in MQTT."""


def _require_host(host: str) -> str:
    """Raises ValueError for what is neither an address nor a name that can be looked up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            name = host.encode("idna").decode()
        except UnicodeError:
            name = ""
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
            example = "mes.example.com, 10.0.0.5 or fe80::1"
            raise ValueError(f"write the name or address alone, as in {example}: no scheme, port or brackets") from None
    return host


def _require_mqtt_text(text: str) -> str:
    """Raises ValueError for what MQTT's fields for texts do not hold."""
    if not is_mqtt_text(text):
        raise ValueError(f"no NUL, no halves of characters, and {LONGEST_TEXT:,} bytes at most")
    return text


def is_mqtt_text(text: str) -> bool:
    """Whether MQTT can carry `text`: a login that it cannot carry would never be sent."""
    return "\0" not in text and len(text.encode(errors="replace")) <= LONGEST_TEXT and not any(map(_is_half, text))


def _is_half(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


Host = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True), AfterValidator(_require_host)]
"""Where a machine is reached."""
Text = Annotated[str, AfterValidator(_require_mqtt_text)]
"""What MQTT can carry."""


class TlsSettings(Settings):
    """An encrypted connection, at least TLS 1.2. The broker's certificate and host name are checked."""

    ca_file: Path | None = None
    """Certificates to trust, PEM. None: the system's."""
    cert_file: Path | None = None
    """This station's own certificate, PEM, where the broker asks for one."""
    key_file: Path | None = None
    verify: bool = True
    """False gives up knowing whom the events go to. For a trial only."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.key_file and not self.cert_file:
            raise ValueError("`key_file` needs `cert_file`, the certificate that it is the key of")
        return self


class BrokerSettings(Settings):
    """The MQTT broker. Without `host` one is started in this process, for a trial (pip install '.[trial]')."""

    host: Host | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    """None: 1883, with `tls` 8883."""
    protocol: Literal[5, "3.1.1"] = 5
    client_id: Annotated[Text, StringConstraints(min_length=1, max_length=64)] | None = None
    """Must differ between stations. None: `pwae-<site>-<area>-<line>-<station>`."""
    username: Text | None = None
    password_env: str | None = None
    """The environment variable that holds the password. A password never stands in this file."""
    password_file: Path | None = None
    """The file whose first line is the password."""
    tls: TlsSettings | None = None
    keepalive_s: int = Field(default=30, ge=5, le=3600)
    connect_timeout_s: Wait = 10.0
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
        """Look the password up. Raises ConfigError where it is not where the configuration says, or cannot be one."""
        password = look_up_secret("broker.password", self.password_env, self.password_file)
        if password is not None and not is_mqtt_text(password):
            where = self.password_env or self.password_file
            raise ConfigError(f"broker.password: {where} holds what is no text in UTF-8, or too long; check it.")
        return password


class HomeAssistantSettings(Settings):
    """The station as a device of Home Assistant, by its MQTT discovery on the same broker."""

    discovery_prefix: str = Field(
        default="homeassistant", pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", examples=["homeassistant"]
    )
    """As in Home Assistant's MQTT options. The broker's access list has to let the station write below it."""
