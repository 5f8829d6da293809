"""Workers: what kills a thread is not lost."""

import threading

import pytest

from runtime.threads.worker import Worker


def test_it_does_its_work_beside_us_and_ends() -> None:
    ran_on: list[threading.Thread] = []
    worker = Worker("a test", lambda: ran_on.append(threading.current_thread()))
    worker.start()
    worker.join(5)
    assert ran_on == [worker]
    assert (worker.name, worker.daemon, worker.fault) == ("a test", True, None)


@pytest.mark.parametrize("fault", [OSError("the disk is full"), SystemExit(3)])
def test_what_kills_it_is_carried_to_whoever_looks(fault: BaseException) -> None:
    def fail() -> None:
        raise fault

    worker = Worker("a test", fail)
    worker.start()
    worker.join(5)
    assert worker.fault is fault
