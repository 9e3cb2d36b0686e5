"""Errors of the house arrive whole from another process."""

import pickle

import pytest

from graph.errors import InvalidSetting, RingfenceError
from ingest.ports import Overloaded


@pytest.mark.parametrize(
    "error",
    [
        InvalidSetting("too few people", field="users", value="3", remedy="Raise users"),
        Overloaded("the queue is full", value="1000", retry_after=0.5),
    ],
)
def test_an_error_is_the_same_after_pickling(error: RingfenceError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made on this line
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
