"""The web page's part of the configuration."""

import socket
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from core.address import LOCAL_HOSTS, host_and_port
from core.config import Settings
from core.secrets import look_up_secret
from runtime.mqtt.settings import Host

EVERY_HOST = ("0.0.0.0", "::")  # noqa: S104


class ViewSettings(Settings):
    """The web page on the box, with /metrics, /healthz and /readyz (pip install '.[view]')."""

    host: Host = "127.0.0.1"
    """The address to listen on. Other than this machine's own needs a token."""
    port: int = Field(default=8080, ge=1, le=65535)
    public_url: (
        Annotated[str, Field(pattern="^https?://[^/]+(/.*)?$", examples=["http://press-3.example.com:8080"])] | None
    ) = None
    """The page's address as others reach it, such as that of a proxy before it: events name evidence below it.
    None: http, `host` (where that is every address, this machine's name) and `port`."""
    token_env: str | None = None
    """The environment variable that holds the token. A token never stands in this file."""
    token_file: Path | None = None
    """The file whose first line is the token."""
    mark_token_env: str | None = None
    """The environment variable that holds the token of those who may also mark parts as good or bad. Left out, with
    `mark_token_file`: nobody may."""
    mark_token_file: Path | None = None
    """The file whose first line is that token."""

    words_folder: Path | None = None
    """A folder with words of further languages, or other words: `fr.yaml`, made after runtime/view/words/en.yaml."""

    @model_validator(mode="after")
    def _is_guarded(self) -> Self:
        if self.token_env and self.token_file:
            raise ValueError("give `token_env` or `token_file`, not both")
        if self.mark_token_env and self.mark_token_file:
            raise ValueError("give `mark_token_env` or `mark_token_file`, not both")
        if not (self.is_local or self.token_env or self.token_file):
            raise ValueError(
                f"everybody who reaches {self.host} could look: give `token_env` or `token_file`, or leave `host` out"
            )
        return self

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOCAL_HOSTS

    @property
    def address(self) -> str:
        """The page's address as others reach it, without a slash at its end."""
        if self.public_url is not None:
            return self.public_url.rstrip("/")
        host = socket.gethostname() if self.host in EVERY_HOST else self.host
        return f"http://{host_and_port(host, self.port)}"

    def token(self) -> str | None:
        """Look the token up. Raises ConfigError where it is not where the configuration says, or empty."""
        return look_up_secret("view.token", self.token_env, self.token_file)

    def mark_token(self) -> str | None:
        """Look the token up that gives the right to mark; None: nobody may. Raises as `token`."""
        return look_up_secret("view.mark_token", self.mark_token_env, self.mark_token_file)
