"""A stream's URL as the configuration has it: variables in it stand for what no file may hold, such as a password."""

import os
import re
import string
from urllib.parse import quote, urlsplit

from core.errors import ConfigError

VARIABLE = re.compile(r"\$(\w+|\{\w+\})")
LONGEST_RTSP_LOGIN = 127
"""Characters of user, colon and password as the URL has them: FFMPEG cuts off what is longer, and is refused."""
REMEDY = "put a password into an environment variable, and ${ITS_NAME} here"


def require_address(url: str) -> None:
    """Raises ValueError for what is no address of a host, or holds a password."""
    try:
        parts = urlsplit(VARIABLE.sub("1", url))
        password, host, _ = urlsplit(url).password, parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"no address with a port from 1 to 65535; {REMEDY}") from None
    if not host or "@" in parts.path + parts.query + parts.fragment:
        raise ValueError(f"no address of a host; {REMEDY}")
    if password and not VARIABLE.fullmatch(password):
        raise ValueError(f"holds a password; {REMEDY}")


def filled_in(url: str) -> str:
    """Give the URL with its variables filled in; those before the `@` may hold any characters, as a password may.

    Raises ConfigError where one is not set, or empty in the login, or FFMPEG would not take the login whole.
    """
    host = urlsplit(url).hostname
    scheme, _, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    try:
        login = string.Template(login).substitute(
            {name: quote(value, "") for name, value in os.environ.items() if value}
        )
        if scheme.startswith("rtsp") and len(login) > LONGEST_RTSP_LOGIN:
            raise ConfigError(
                f"camera at {host}: user and password are longer than RTSP takes here ({len(login)} characters of "
                f"{LONGEST_RTSP_LOGIN}; what is no letter or digit counts three times); give it a shorter password."
            )
        return f"{scheme}://{login}{at}{string.Template(place).substitute(os.environ)}"
    except KeyError as error:
        raise ConfigError(f"camera at {host}: the environment variable {error} is not set, or empty.") from error
    except ValueError as error:
        raise ConfigError(f"camera at {host}: write `$$` for a literal dollar sign.") from error
