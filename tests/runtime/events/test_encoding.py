"""The encoding: JSON as the standard library writes it, and no number that JSON does not have."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.events.encoding import dumps

TEXT = st.text(st.characters(), max_size=5)
LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.floats().map(np.float64) | TEXT
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_it_tells_the_same_as_the_standard_library_s_strict_json_and_refuses_the_same(body: dict[str, Any]) -> None:
    try:
        strict = json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            dumps(body)
    else:
        assert json.loads(dumps(body)) == json.loads(strict)
