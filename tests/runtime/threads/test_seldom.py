from runtime.threads import seldom
from runtime.threads.seldom import EVERY_S, Seldom


def test_each_thing_is_told_once_a_minute() -> None:
    now_s = 0.0
    telling = Seldom(lambda: now_s)
    assert [telling.is_due(what) for what in ("a", "a", "b", "a")] == [True, False, True, False]
    now_s = EVERY_S
    assert [telling.is_due(what) for what in ("a", "a")] == [True, False]


def test_names_that_strangers_invent_take_no_memory_for_ever() -> None:
    telling = Seldom(lambda: 0.0)
    for number in range(3 * seldom.MOST):
        assert telling.is_due(f"invented-{number}")
    assert len(telling._told_s) <= seldom.MOST
