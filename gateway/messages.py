"""What the gateway reads of the stations' messages, with its types: nothing else is served.

Whoever may write on a station's topics can send anything, and asyncua ends a client's connection over a value that is
not of its variable's type.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from gateway.results import moment
from runtime.bundles.manifest import Sha256

_Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]


def _with_zone(text: str) -> str:
    if moment(text).tzinfo is None:
        raise ValueError("it has no time zone")
    return text


_Moment = Annotated[str, AfterValidator(_with_zone)]
"""As `moment` reads it, which serves it: pydantic takes other texts for times, and reads some as another one."""


class _Form(BaseModel):
    """Base: no type is turned into another, no number is infinite; other keys are kept as they are."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, extra="allow")


class _Verdict(_Form):
    code: _Int32
    name: str
    reason: list[str]


class _Score(_Form):
    value: float
    threshold: float
    margin: float


class _Tile(_Form):
    row: _Int32
    col: _Int32


class _Evidence(_Form):
    ref: str


class _Model(_Form):
    name: str
    version: str
    sha256: Sha256


class _Timing(_Form):
    total: float


class InspectionEvent(_Form):
    """An event, by inspection.schema.json."""

    id: str
    boot_id: str
    camera: str
    seq: _Count
    simulated: bool
    replayed: bool
    time: _Moment
    capture_time: _Moment
    verdict: _Verdict
    score: _Score | None
    worst_tile: _Tile | None
    part_id: str | None
    job_id: str | None
    recipe: str | None
    model: _Model
    thresholds_id: str
    timing_ms: _Timing
    evidence: _Evidence | None


class _Gap(_Form):
    first_seq: _Count
    last_seq: _Count


class _Counters(_Form):
    ok: _Count
    not_ok: _Count
    not_decidable: _Count
    discarded: _Count


class _CameraStatus(_Form):
    state: str
    reason: str


class _Status(_CameraStatus):
    version: str
    boot_id: str


class _ModelInUse(_Model):
    backend: str


STATION: Mapping[str, type[_Form]] = {"status": _Status, "model": _ModelInUse}
CAMERA: Mapping[str, type[_Form]] = {
    **dict.fromkeys(("result", "last"), InspectionEvent),
    **{"gap": _Gap, "counters": _Counters, "status": _CameraStatus},
}
"""By the topic's last level."""


def read_message(form: type[BaseModel], payload: bytes) -> Any:
    """Read the JSON of a message. Raises ValueError, which says where it is not of `form`."""
    try:
        return form.model_validate_json(payload).model_dump()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}") from None
