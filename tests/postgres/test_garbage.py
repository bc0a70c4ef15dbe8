"""The collector goes on, whoever leaves first."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from neontest.postgres.garbage import MANY, OFTEN, NoCollection


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


@pytest.mark.parametrize(("many", "searched"), [(100, True), (50_000, False)])
def test_of_much_that_is_kept_nothing_is_searched_when_the_block_ends(many: int, searched: bool) -> None:
    gc.collect()
    with NoCollection():
        kept = [[number] for number in range(many)]
    young = gc.get_objects(generation=0) + gc.get_objects(generation=1)
    assert any(each is kept for each in young) is searched
    assert gc.get_freeze_count() == 0
    assert gc.is_tracked(kept)


def test_what_is_garbage_by_then_is_found_later_without_being_asked_for() -> None:
    class Loop:
        pass

    block, gone = NoCollection(), []
    for _ in range(OFTEN):
        with block:
            loop = Loop()
            loop.itself = loop  # type: ignore[attr-defined]
            loop.holds = [[number] for number in range(2 * MANY)]  # type: ignore[attr-defined]
            gone.append(weakref.ref(loop))
            del loop
    assert [each() for each in gone] == [None] * OFTEN
