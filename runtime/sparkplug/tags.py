"""Tags: which metrics a station and its cameras have, and how our own messages fill them. Pure."""

from collections.abc import Mapping
from typing import Any

from runtime.sparkplug.payload import DataType, Value

REBIRTH = "Node Control/Rebirth"
BD_SEQ = "bdSeq"

STATION: Mapping[str, DataType] = {
    "Station/State": DataType.STRING,
    "Station/Reason": DataType.STRING,
    "Station/Version": DataType.STRING,
    "Station/BootId": DataType.STRING,
    "Model/Name": DataType.STRING,
    "Model/Version": DataType.STRING,
    "Model/Sha256": DataType.STRING,
    "Model/Backend": DataType.STRING,
}
"""Of the node."""

CAMERA: Mapping[str, DataType] = {
    "Verdict/Code": DataType.INT32,
    "Verdict/Name": DataType.STRING,
    "Verdict/Reason": DataType.STRING,
    "Score/Value": DataType.DOUBLE,
    "Score/Threshold": DataType.DOUBLE,
    "Score/Margin": DataType.DOUBLE,
    "WorstTile/Row": DataType.INT32,
    "WorstTile/Col": DataType.INT32,
    "Part/Id": DataType.STRING,
    "Part/Job": DataType.STRING,
    "Part/Recipe": DataType.STRING,
    "Event/Id": DataType.STRING,
    "Event/Seq": DataType.INT64,
    "Event/BootId": DataType.STRING,
    "Event/Simulated": DataType.BOOLEAN,
    "Event/ModelSha256": DataType.STRING,
    "Event/Evidence": DataType.STRING,
    "Gap/FirstSeq": DataType.INT64,
    "Gap/LastSeq": DataType.INT64,
    "Counters/Ok": DataType.INT64,
    "Counters/NotOk": DataType.INT64,
    "Counters/NotDecidable": DataType.INT64,
    "Counters/Discarded": DataType.INT64,
    "Camera/State": DataType.STRING,
    "Camera/Reason": DataType.STRING,
}
"""Of each device."""


def station_values(leaf: str, body: Mapping[str, Any]) -> dict[str, Value]:
    """Give what a message on the station's topic `leaf` says of the node; nothing where it says nothing of it."""
    match leaf:
        case "status":
            named = {"State": "state", "Reason": "reason", "Version": "version", "BootId": "boot_id"}
            return {f"Station/{tag}": body[key] for tag, key in named.items()}
        case "model":
            return {f"Model/{key.capitalize()}": body[key] for key in ("name", "version", "sha256", "backend")}
        case _:
            return {}


def camera_values(leaf: str, body: Mapping[str, Any]) -> dict[str, Value]:
    """Give what a message on a camera's topic `leaf` says of the device; nothing where it says nothing of it."""
    match leaf:
        case "result":
            return _event_values(body)
        case "gap":
            return {"Gap/FirstSeq": body["first_seq"], "Gap/LastSeq": body["last_seq"]}
        case "counters":
            named = {"Ok": "ok", "NotOk": "not_ok", "NotDecidable": "not_decidable", "Discarded": "discarded"}
            return {f"Counters/{tag}": body[key] for tag, key in named.items()}
        case "status":
            return {"Camera/State": body["state"], "Camera/Reason": body["reason"]}
        case _:
            return {}


def _event_values(event: Mapping[str, Any]) -> dict[str, Value]:
    score, worst, evidence = event["score"] or {}, event["worst_tile"] or {}, event["evidence"] or {}
    return {
        "Verdict/Code": event["verdict"]["code"],
        "Verdict/Name": event["verdict"]["name"],
        "Verdict/Reason": ",".join(event["verdict"]["reason"]),
        "Score/Value": score.get("value"),
        "Score/Threshold": score.get("threshold"),
        "Score/Margin": score.get("margin"),
        "WorstTile/Row": worst.get("row"),
        "WorstTile/Col": worst.get("col"),
        "Part/Id": event["part_id"],
        "Part/Job": event["job_id"],
        "Part/Recipe": event["recipe"],
        "Event/Id": event["id"],
        "Event/Seq": event["seq"],
        "Event/BootId": event["boot_id"],
        "Event/Simulated": event["simulated"],
        "Event/ModelSha256": event["model"]["sha256"],
        "Event/Evidence": evidence.get("ref"),
    }
