"""The doctor's check of the page: its packages, its token and its port."""

from core.address import host_and_port
from runtime.view.settings import ViewSettings
from runtime.view.web_page import listen, require_packages


def check_page(settings: ViewSettings) -> str:
    """Listen once. Raises ConfigError where a package or the token is missing, or the port is taken."""
    require_packages()
    settings.token()
    listen(settings).close()
    return f"{host_and_port(settings.host, settings.port)} is free"
