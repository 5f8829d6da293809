"""In which order what came is acknowledged."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.mqtt.incoming import MOST_HELD, Incoming


def incoming(*numbers: int) -> Incoming:
    made = Incoming()
    for number in numbers:
        made.owe(number)
    return made


def test_what_is_done_first_waits_for_what_came_first() -> None:
    heard = incoming(7, 8, 9)
    assert heard.settle(9) == []
    assert heard.settle(8) == []
    assert heard.settle(7) == [7, 8, 9]


def test_what_waits_long_holds_up_the_answers_to_a_few_and_no_more() -> None:
    heard = incoming(*range(20))
    told = [heard.settle(number) for number in range(1, 1 + MOST_HELD)]
    assert told == [[]] * (MOST_HELD - 1) + [[*range(1, 1 + MOST_HELD)]]
    assert heard.settle(0) == [0]
    assert heard.settle(1 + MOST_HELD) == [1 + MOST_HELD]


def test_what_comes_twice_is_answered_once_until_its_number_is_another_message_s() -> None:
    heard = incoming(1, 2, 1)
    assert heard.settle(1) == [1]
    assert heard.settle(1) == []
    heard.owe(1)
    assert heard.settle(1) == []
    assert heard.settle(2) == [2, 1]


@given(st.permutations(range(30)))
def test_all_are_answered_once_whatever_is_done_first(done: list[int]) -> None:
    heard = incoming(*range(30))
    told = [number for each in done for number in heard.settle(each)]
    assert sorted(told) == [*range(30)]
