"""A value of a GenICam feature, as YAML reads it."""

import math
from typing import Annotated

from pydantic import BeforeValidator, StrictBool, StrictFloat, StrictInt


def _is_one(value: object) -> object:
    """Of all that a feature may be, one line says what it is not."""
    if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("a number, a text, or On or Off is needed")
    return value


Feature = Annotated[StrictBool | StrictInt | StrictFloat | str, BeforeValidator(_is_one)]
