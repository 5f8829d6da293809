"""Workers: what kills a thread is not lost."""

import threading

import pytest

from core.errors import PwaeError
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


def test_where_there_may_be_no_further_thread_it_is_told_in_words_and_stopping_it_is_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    worker = Worker("a test", lambda: None)
    monkeypatch.setattr(threading, "_start_new_thread", refuse)
    with pytest.raises(PwaeError, match=r"`a test` cannot be started: can't start new thread; .*`ulimit -u`"):
        worker.start()
    worker.join(5)
    assert not worker.is_alive()
