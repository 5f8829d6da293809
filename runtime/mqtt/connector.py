"""The connector: logs in at one broker, on the terms that it takes."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from core.errors import ConfigError
from runtime.mqtt.connection import Connection
from runtime.mqtt.faults import NotOnTheseTerms, Refused, Unreachable
from runtime.mqtt.login import Login
from runtime.mqtt.message import Outgoing
from runtime.mqtt.packets import SESSION_S
from runtime.mqtt.settings import BrokerSettings
from runtime.mqtt.terms import QOS_REMEDY, Terms, milder
from runtime.mqtt.tls import tls_context
from runtime.threads.backoff import LONGEST_S, STABLE_AFTER_S, BackOff

log = logging.getLogger(__name__)


@dataclass
class Cable:
    """The way to the broker, by which all connections of a station go; a simulation pulls it."""

    is_cut: Callable[[], bool] = lambda: False
    longest_wait_s: float = LONGEST_S
    """Before another try; shorter in a simulation, whose troubles are short."""


class Connector:
    """Makes connections to one broker. Password and certificates are read again where it did not take us in."""

    def __init__(self, broker: BrokerSettings, client_id: str, cable: Cable | None = None) -> None:
        """Go by `cable`; None: by one of its own. Raises ConfigError where a password or certificate cannot be read."""
        self.client_id = client_id
        self.is_own = broker.host is None
        """Whether it is the broker that this process started."""
        self.terms = Terms()
        """On which the broker took us in last; begins with all that we want."""
        self.cable = cable or Cable()
        self._broker = broker
        self._login: Login | None = self._look_up()

    def open(self, will: Outgoing | None = None, is_lasting: bool = False) -> Connection:
        """Connect and log in, without what this broker does not take. Raises Unreachable or Refused with the reason.

        `will` is what the broker sends for us where the connection ends without a goodbye. `is_lasting`: it keeps our
        subscriptions, and what is sent to us, while we are away.
        """
        self.require_cable()
        # From the start each time: a login that was lost for another reason must not cost us anything for long.
        terms, first = Terms(), None
        try:
            login = self._login or self._look_up()
        except ConfigError as error:
            raise Refused(str(error)) from error
        self._login = None  # passwords and certificates may be changed, until it takes us in
        while True:
            connection = Connection(login, will, terms, is_lasting)
            try:
                connection.open()
            except NotOnTheseTerms as refusal:
                connection.close()
                first = first or refusal
                if (another := milder(terms, refusal.reason, will.topic if will else None)) is None:
                    self.terms = Terms()
                    raise (Unreachable(str(first)) if first.reason is None else first) from refusal
                terms = another
            except BaseException:
                connection.close()
                raise
            else:
                self._settle(terms, connection, is_lasting)
                self._login = login
                return connection

    def _look_up(self) -> Login:
        tls = self._broker.tls
        return Login(self._broker, self.client_id, self._broker.password(), tls_context(tls) if tls else None)

    def require_cable(self) -> None:
        """Raise Unreachable where the cable is pulled."""
        if self.cable.is_cut():
            raise Unreachable("simulated: the cable is pulled")

    def _settle(self, terms: Terms, connection: Connection, is_lasting: bool) -> None:
        """Keep to what the broker took. Raises Refused where no event could be acknowledged."""
        if not terms.will_qos or connection.granted.largest_qos == 0:
            connection.close()
            raise Refused(QOS_REMEDY)
        retain, session_s = terms.retain and connection.granted.takes_retained, connection.granted.session_s
        kept_s = session_s if is_lasting and session_s is not None and session_s < SESSION_S else None
        terms = replace(terms, retain=retain, kept_s=kept_s)
        connection.terms = terms
        if terms != self.terms:
            for loss in terms.losses:
                log.warning("broker: %s", loss)
        self.terms = terms


def keep_connected(
    serve: Callable[[], None], tell: Callable[[str], None], stopping: threading.Event, cable: Cable
) -> None:
    """Let `serve` open and serve one connection by `cable` after another until `stopping`; `tell` why there was none.

    `serve` raises Unreachable or Refused.
    """
    backoff = BackOff()
    while not stopping.is_set():
        began_s = time.monotonic()
        try:
            serve()
        except Refused as error:
            tell(f"refused: {error}")
        except Unreachable as error:
            tell(f"unreachable: {error}")
        if time.monotonic() - began_s > STABLE_AFTER_S:
            backoff.succeeded()
        stopping.wait(min(backoff.failed(), cable.longest_wait_s))
