import gc
import sys
import time
import weakref

from api.pauses import DUE, LOOK_S, YOUNG, Pauses, Young


def test_an_idle_moment_collects_and_the_interpreter_is_given_back_as_it_was():
    gc.unfreeze()  # `tests/conftest.py` froze; what is given back is all of it
    before = (gc.get_threshold(), sys.getswitchinterval(), gc.get_freeze_count())
    pauses = Pauses(lambda: 0)
    pauses.start()
    try:
        assert gc.get_threshold() != before[0]
        assert gc.get_freeze_count() > 0
        for _ in range(DUE + 1):
            gc.collect(1)
        deadline = time.monotonic() + 20 * LOOK_S
        while not pauses.collected:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        pauses.stop()
    assert (gc.get_threshold(), sys.getswitchinterval(), gc.get_freeze_count()) == before


def test_collecting_waits_while_there_is_work():
    work = iter(range(10**6))
    pauses = Pauses(lambda: next(work))
    pauses.start()
    try:
        for _ in range(DUE + 1):
            gc.collect(1)
        time.sleep(3 * LOOK_S)
        assert pauses.collected == 0
    finally:
        pauses.stop()


class Circle:
    def __init__(self):
        self.itself = self


def test_what_transactions_left_is_collected_after_so_many_of_them():
    gc.disable()  # nobody else does it
    try:
        young, left = Young(), weakref.ref(Circle())
        young(YOUNG - 1)
        assert left() is not None
        young(1)
        assert left() is None
        left = weakref.ref(Circle())
        young(1)
        assert left() is not None
        young(10 * YOUNG)
        assert left() is None
    finally:
        gc.enable()
