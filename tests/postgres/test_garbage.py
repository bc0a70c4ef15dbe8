"""The collector goes on, whoever leaves first."""

from __future__ import annotations

import gc
import threading

import pytest

from neontest.postgres.garbage import NoCollection


def test_the_last_of_several_threads_lets_it_go_on() -> None:
    block, inside, leave = NoCollection(), threading.Event(), threading.Event()

    def other() -> None:
        with block:
            inside.set()
            leave.wait(10)

    assert gc.isenabled()
    with block:
        assert not gc.isenabled()
        beside = threading.Thread(target=other)
        beside.start()
        assert inside.wait(10)
    assert not gc.isenabled()
    leave.set()
    beside.join()
    assert gc.isenabled()


def test_what_fails_in_the_block_does_not_leave_it_off() -> None:
    block = NoCollection()
    with pytest.raises(ZeroDivisionError), block:
        print(1 / 0)
    assert gc.isenabled()


def test_where_somebody_has_it_off_it_stays_off() -> None:
    gc.disable()
    try:
        with NoCollection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
