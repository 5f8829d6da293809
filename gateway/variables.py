"""Variables: one for each tag, flat below one node, for clients that know no structures."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime

from asyncua import Node, Server, ua

from runtime.sparkplug.payload import DataType, Value

TYPES = {
    DataType.INT32: ua.VariantType.Int32,
    DataType.INT64: ua.VariantType.Int64,
    DataType.DOUBLE: ua.VariantType.Double,
    DataType.BOOLEAN: ua.VariantType.Boolean,
    DataType.STRING: ua.VariantType.String,
}


class Variables:
    """Those of one station or camera. What is not known has the status BadNoData; see also `doubt`."""

    def __init__(self, server: Server) -> None:
        """None yet; see `add_variables`."""
        self._server = server
        self._types: dict[str, tuple[ua.NodeId, ua.VariantType]] = {}
        self._values: dict[str, ua.DataValue] = {}

    async def add(self, parent: Node, tags: Mapping[str, DataType]) -> None:
        """Add a variable for each of `tags` below `parent`: `Verdict/Code` is `<parent's id>.VerdictCode`."""
        for tag, datatype in tags.items():
            name = tag.replace("/", "")
            place = ua.NodeId(f"{parent.nodeid.Identifier}.{name}", parent.nodeid.NamespaceIndex)
            kind = TYPES[datatype]
            nothing = ua.Variant(None, ua.VariantType.Null)
            browse_name = ua.QualifiedName(name, parent.nodeid.NamespaceIndex)
            await parent.add_variable(place, browse_name, nothing, datatype=ua.NodeId(kind.value))
            self._types[tag] = place, kind
            await self._put(tag, ua.DataValue(nothing, ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData)))

    async def write(self, values: Mapping[str, Value], at: datetime, is_current: bool = True) -> None:
        """Set variables to what was so `at` that time; see `doubt` for what is not current."""
        known = ua.StatusCodes.Good if is_current else ua.StatusCodes.UncertainLastUsableValue
        for tag, value in values.items():
            kind = self._types[tag][1] if value is not None else ua.VariantType.Null
            status = ua.StatusCodes.BadNoData if value is None else known
            await self._put(tag, ua.DataValue(ua.Variant(value, kind), ua.StatusCode(status), at))

    async def doubt(self) -> None:
        """Say of every value that it is the last known one (UncertainLastUsableValue), until it is written again."""
        uncertain = ua.StatusCode(ua.StatusCodes.UncertainLastUsableValue)
        for tag, known in self._values.items():
            if known.StatusCode is None or known.StatusCode.is_good():
                await self._put(tag, ua.DataValue(known.Value, uncertain, known.SourceTimestamp))

    async def _put(self, tag: str, value: ua.DataValue) -> None:
        self._values[tag] = value
        await self._server.write_attribute_value(self._types[tag][0], stamped(value))


def stamped(value: ua.DataValue) -> ua.DataValue:
    """Give a value with the time since which it is served; one without a time of its own is of then, too.

    asyncua serves none, which clients show as the year 1601.
    """
    now = datetime.now(UTC)
    return dataclasses.replace(value, SourceTimestamp=value.SourceTimestamp or now, ServerTimestamp=now)
