"""The hosts, as far as the broker lets us know of them: what they ask, and whether what we send may reach them."""

import logging
from collections.abc import Sequence

from runtime.mqtt.connection import Connection
from runtime.mqtt.echo import Echo
from runtime.mqtt.message import Message
from runtime.mqtt.words import ACCESS
from runtime.sparkplug.node import EdgeNode
from runtime.threads.seldom import Seldom

log = logging.getLogger(__name__)
NOT_HANDED_ON = (
    "it does not hand our birth to us, so that no host may get what we send: of QoS 0, as Sparkplug has it, a broker "
    "does not tell what it throws away; check that this user may write there, and let it read there, too, so that this "
    "can be seen (RabbitMQ: `mqtt.sparkplug = true`)"
)


class Hosts:
    """Heard over one connection. Belongs to the sender's thread."""

    def __init__(self, connection: Connection, node: EdgeNode, birth: str, told: Seldom) -> None:
        """Subscribe for commands, and to our own birth on the topic `birth`; `told` outlives the connection."""
        self._connection = connection
        self._node = node
        self._told = told
        self._commands = connection.subscribe(node.commands)
        self._echo = Echo(connection, NOT_HANDED_ON)
        self._echo.listen(birth)

    def ask_for_births(self) -> bool:
        """Take what came in, and say whether a host asks for births."""
        self._hear_refusals()
        heard = self._connection.received()
        self._echo.hear(heard)
        for message in heard:
            self._connection.acknowledge(message)
        return self._is_rebirth([message for message in heard if message.topic == self._node.commands])

    def end(self) -> None:
        """Tell where our birth has not come back until now: perhaps it did while we said goodbye."""
        self._echo.hear(self._connection.received())
        self._echo.end()

    def _is_rebirth(self, commands: Sequence[Message]) -> bool:
        is_asked = False
        for command in commands:
            try:
                is_asked = self._node.asks_for_rebirth(command.payload) or is_asked
            except ValueError as error:
                if self._told.is_due("nonsense"):
                    log.warning("sparkplug: a command that is no payload is ignored reason=%r", str(error))
        if is_asked and self._told.is_due("births"):
            log.info("sparkplug: a host asked for births")
        return is_asked

    def _hear_refusals(self) -> None:
        """Data is QoS 0, of which nothing is said: it is our subscription that can be refused here."""
        for number, _reason, words in self._connection.rejected():
            if number == self._commands and self._told.is_due(words):
                told = "sparkplug: broker refuses the subscription to %s (%s); %s"
                log.error(told, self._node.commands, words, ACCESS)
