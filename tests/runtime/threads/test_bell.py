"""Bells: who rings is heard, whenever that was."""

import threading

from runtime.mqtt.turn import wait_ready
from runtime.threads.bell import Bell
from tests.runtime.waiting import WAIT_S


def test_however_often_it_rings_it_is_heard_once_and_then_again() -> None:
    bell = Bell()
    for _ in range(3):
        for _ in range(1000):
            bell.ring()
        assert wait_ready([bell.heard], [], WAIT_S)[0]
        bell.hear()
        assert not wait_ready([bell.heard], [], 0.0)[0]
    bell.close()
    bell.ring()


def test_what_was_put_before_a_ring_is_found_by_who_looks_after_hearing() -> None:
    bell, put, found = Bell(), 20_000, 0
    waiting: list[int] = []

    def work() -> None:
        for number in range(put):
            waiting.append(number)
            bell.ring()

    worker = threading.Thread(target=work)
    worker.start()
    while found < put:
        assert wait_ready([bell.heard], [], WAIT_S)[0], f"{put - found} wait, and nobody rang"
        bell.hear()
        while waiting:
            waiting.pop()
            found += 1
    worker.join()
    bell.close()
