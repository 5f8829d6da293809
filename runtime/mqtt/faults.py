"""Faults: why there is no connection to the broker, by what helps."""


class Unreachable(Exception):  # noqa: N818
    """No broker answers there, or the connection was lost; trying again may help."""


class Closed(Unreachable):
    """A connection that stood ended without a word."""


class TakenOver(Unreachable):
    """Another client logged in with our client id, and the broker gave it our place. MQTT 5 only."""


class Refused(Exception):  # noqa: N818
    """The broker answers and does not want us: login, certificate, protocol version or topic. A person has to act."""


class NotOnTheseTerms(Refused):
    """The broker refused the login, for a reason in numbers of MQTT 5; None: it gave none."""

    def __init__(self, words: str, reason: int | None) -> None:
        super().__init__(words)
        self.reason = reason
