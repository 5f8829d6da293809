"""Lifetime: goes on over restarts, never backwards, and never faster than the machine's own time."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime.threads.lifetime import KEEP_EVERY_S, Kept, Lifetime, machine_time


def test_it_goes_on_over_a_restart_of_the_process() -> None:
    first = Lifetime(None, lambda: ("a", 100.0))
    assert first.now_s() == 0.0
    again = Lifetime(first.keep(), lambda: ("a", 130.0))
    assert again.now_s() == 30.0


def test_of_another_start_of_the_machine_only_what_it_was_on_counts() -> None:
    assert Lifetime(Kept("a", 500.0, 70.0), lambda: ("b", 20.0)).now_s() == 90.0
    assert Lifetime(Kept("", 500.0, 70.0), lambda: ("", 20.0)).now_s() == 90.0  # it began anew, though nothing says so


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1e6), st.booleans()), max_size=30))
def test_it_never_runs_backwards_nor_ahead_of_the_machine(steps: list[tuple[bool, float, bool]]) -> None:
    machine: list[Any] = ["0", 0.0]
    on_s = before_s = 0.0

    def started(last: Kept | None) -> Lifetime:
        return Lifetime(last, lambda: (str(machine[0]), float(machine[1])))

    life = started(None)
    for number, (is_reboot, passed_s, is_kept) in enumerate(steps):
        if is_reboot:
            kept = life.keep()
            machine[:] = [str(number), 0.0]
            life = started(kept)
        machine[1] = float(machine[1]) + passed_s
        on_s += passed_s
        if is_kept:
            life = started(life.keep())
        assert before_s - 1e-6 <= life.now_s() <= on_s + 1e-6
        before_s = life.now_s()


def test_it_is_to_be_kept_at_first_and_now_and_then() -> None:
    now_s = [5.0]
    life = Lifetime(None, lambda: ("a", now_s[0]))
    assert life.is_due
    life.keep()
    assert not life.is_due
    now_s[0] += KEEP_EVERY_S
    assert life.is_due


def test_the_kernel_counts() -> None:
    boot, before_s = machine_time()
    again, after_s = machine_time()
    assert (boot, before_s <= after_s) == (again, True)
