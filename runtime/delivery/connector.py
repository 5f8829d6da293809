"""The connector: logs in at one broker, on the terms that it takes."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from runtime.delivery.connection import Connection, NotOnTheseTerms, Refused, Unreachable
from runtime.delivery.login import Login
from runtime.delivery.message import Outgoing
from runtime.delivery.settings import BrokerSettings
from runtime.delivery.terms import QOS_REMEDY, Terms, milder
from runtime.delivery.tls import tls_context
from runtime.threads.backoff import BackOff

log = logging.getLogger(__name__)


class Connector:
    """Makes connections to one broker: what is configured is looked up once, at the start."""

    def __init__(self, broker: BrokerSettings, client_id: str) -> None:
        """Raises ConfigError where a password or certificate cannot be read."""
        self.client_id = client_id
        self.is_own = broker.host is None
        """Whether it is the broker that this process started."""
        self.terms = Terms()
        """On which the broker took us in last; begins with all that we want."""
        self.is_cut: Callable[[], bool] = lambda: False
        """Whether the cable is pulled; a simulation pulls it."""
        self._login = Login(broker, client_id, broker.password(), tls_context(broker.tls) if broker.tls else None)

    def open(self, will: Outgoing | None = None, is_lasting: bool = False) -> Connection:
        """Connect and log in, without what this broker does not take. Raises Unreachable or Refused with the reason.

        `will` is what the broker sends for us where the connection ends without a goodbye. `is_lasting`: it keeps our
        subscriptions, and what is sent to us, while we are away.
        """
        self.require_cable()
        # From the start each time: a login that was lost for another reason must not cost us anything for long.
        terms, first = Terms(), None
        while True:
            connection = Connection(self._login, will, terms, is_lasting)
            try:
                connection.open()
            except NotOnTheseTerms as refusal:
                connection.close()
                first = first or refusal
                if (another := milder(terms, refusal.reason)) is None:
                    self.terms = Terms()
                    raise (Unreachable(str(first)) if first.reason is None else first) from refusal
                terms = another
            except BaseException:
                connection.close()
                raise
            else:
                self._settle(terms, connection)
                return connection

    def require_cable(self) -> None:
        """Raise Unreachable where the cable is pulled."""
        if self.is_cut():
            raise Unreachable("simulated: the cable is pulled")

    def _settle(self, terms: Terms, connection: Connection) -> None:
        """Keep to what the broker took. Raises Refused where no event could be acknowledged."""
        if not terms.will_qos or connection.granted.largest_qos == 0:
            connection.close()
            raise Refused(QOS_REMEDY)
        terms = replace(terms, retain=terms.retain and connection.granted.takes_retained)
        connection.terms = terms
        if terms != self.terms:
            for loss in terms.losses:
                log.warning("broker: %s", loss)
        self.terms = terms


def keep_connected(serve: Callable[[BackOff], None], tell: Callable[[str], None], stopping: threading.Event) -> None:
    """Let `serve` open and serve one connection after another until `stopping`; `tell` why there was none.

    `serve` says `succeeded` to the back-off once it is connected, and raises Unreachable or Refused.
    """
    backoff = BackOff()
    while not stopping.is_set():
        try:
            serve(backoff)
        except (Unreachable, Refused) as error:
            tell(f"{type(error).__name__.lower()}: {error}")
        stopping.wait(backoff.failed())
