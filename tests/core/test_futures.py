"""Futures: results as they come, and a Ctrl-C that is heard whichever thread gets it."""

import subprocess
import sys
from concurrent.futures import Future

import pytest

from core.futures import results

INTERRUPTED_ELSEWHERE = """
import signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from core.futures import results

signal.signal(signal.SIGINT, signal.default_int_handler)
began, ended = threading.Event(), threading.Event()

def work():
    began.wait()
    main = threading.main_thread().ident
    while sys._current_frames()[main].f_code.co_name != "wait":
        time.sleep(0.001)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    return ended.wait(20)

with ThreadPoolExecutor(1) as pool:
    future = pool.submit(work)
    began.set()
    try:
        list(results([future]))
    except KeyboardInterrupt:
        print("heard", "too late" if future.done() else "at once")
    ended.set()
"""


def test_they_come_as_they_are_there_and_a_fault_is_raised() -> None:
    first, second, third = Future[int](), Future[int](), Future[int]()
    coming = results([first, second, third])
    second.set_result(2)
    assert next(coming) == 2
    first.set_result(1)
    assert next(coming) == 1
    third.set_exception(TimeoutError("of the work itself"))
    with pytest.raises(TimeoutError, match="of the work itself"):
        next(coming)


def test_a_ctrl_c_that_another_thread_gets_is_heard() -> None:
    command = [sys.executable, "-c", INTERRUPTED_ELSEWHERE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("heard at once\n", "")
