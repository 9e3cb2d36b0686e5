"""The watermark's own examples run as tests."""

import doctest

import graph.watermark
from graph.watermark import Punctuality, Watermark


def test_doctest() -> None:
    assert doctest.testmod(graph.watermark).failed == 0


def test_two_absurd_timestamps_do_not_move_it_a_third_that_agrees_does() -> None:
    mark = Watermark(lateness=5, ahead=100)
    for t in (1000, 1001, 1002):
        mark.observe(t, t)
    assert mark.observe(10**12, 1) is Punctuality.AHEAD
    assert mark.observe(10**12, 1) is Punctuality.AHEAD
    assert mark.observe(10**12 + 1, 2) is Punctuality.AHEAD
    assert mark.time == 1002
    assert mark.observe(10**12 + 2, 3) is Punctuality.ON_TIME
    assert mark.observe(1003, 4) is Punctuality.LATE
