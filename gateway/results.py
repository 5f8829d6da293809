"""Results: an inspection event as OPC 40100-1 has it, and the newest of them kept for clients that ask."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from asyncua import ua

COMPLETED = 1
"""ResultStateDataType: the part was judged; its verdict stands in the content."""
KEPT = 1000
"""Results of one station that can be asked for by their id."""


class Results:
    """Builds results and keeps the newest."""

    def __init__(self, types: Mapping[str, Any]) -> None:
        """`types` are the classes of the nodeset's structures, by their names."""
        self._types = types
        self._newest: OrderedDict[str, Any] = OrderedDict()

    def add(self, event: Mapping[str, Any], body: bytes) -> Any:
        """Give the ResultDataType of an event, whose JSON is `body`, and keep it."""
        result = self._built(event, body)
        self._newest[event["id"]] = result
        while len(self._newest) > KEPT:
            self._newest.popitem(last=False)
        return result

    def get(self, number: str) -> Any | None:
        """Give a result by its id; None where it is not, or no longer, kept."""
        return self._newest.get(number)

    def _built(self, event: Mapping[str, Any], body: bytes) -> Any:
        """ResultContent is the verdict's code and name (ResultEvaluationEnum of OPC 40001-101), and the JSON."""
        structure, model, verdict = self._types, event["model"], event["verdict"]
        return structure["ResultDataType"](
            ResultId=structure["ResultIdDataType"](Id=event["id"]),
            HasTransferableDataOnFile=False,
            IsPartial=False,
            IsSimulated=event["simulated"],
            ResultState=COMPLETED,
            MeasId=structure["MeasIdDataType"](Id=f"{event['boot_id']}/{event['camera']}/{event['seq']}"),
            PartId=structure["PartIdDataType"](Id=event["part_id"]) if event["part_id"] is not None else None,
            ExternalRecipeId=structure["RecipeIdExternalDataType"](Id=event["recipe"])
            if event["recipe"] is not None
            else None,
            InternalRecipeId=structure["RecipeIdInternalDataType"](
                Id=model["name"],
                Version=model["version"],
                Hash=bytes.fromhex(model["sha256"]),
                HashAlgorithm="SHA-256",
            ),
            InternalConfigurationId=structure["ConfigurationIdDataType"](Id=event["thresholds_id"]),
            JobId=structure["JobIdDataType"](Id=event["job_id"] or ""),
            CreationTime=moment(event["capture_time"]),
            ProcessingTimes=structure["ProcessingTimesDataType"](
                StartTime=moment(event["capture_time"]),
                EndTime=moment(event["time"]),
                ProcessingDuration=event["timing_ms"]["total"],
            ),
            ResultContent=[
                ua.Variant(verdict["code"], ua.VariantType.Int32),
                ua.Variant(verdict["name"], ua.VariantType.String),
                ua.Variant(body.decode(), ua.VariantType.String),
            ],
        )


def moment(rfc3339: str) -> datetime:
    """Read a time as events have it."""
    return datetime.fromisoformat(rfc3339)
