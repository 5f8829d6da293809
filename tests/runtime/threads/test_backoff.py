"""Back-off: grows to a bound, never hammers."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.threads.backoff import BackOff, backoff_s


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_grows_to_a_bound_and_never_hammers(attempt: int, chance: float) -> None:
    delay_s = backoff_s(attempt, chance)
    assert 0.125 <= delay_s <= 30
    assert delay_s <= backoff_s(attempt + 1, chance)


def test_waits_grow_while_tries_fail_and_begin_anew_after_one_that_went_well() -> None:
    backoff = BackOff()
    waits = [backoff.failed() for _ in range(9)]
    assert 0.25 <= waits[0] < 0.5
    assert waits[8] >= 15
    backoff.succeeded()
    assert 0.25 <= backoff.failed() < 0.5
