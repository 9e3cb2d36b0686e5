"""The snapshot format: equal state, equal bytes; nothing torn, altered or foreign is read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import Incompatible
from graph.snapshot import Snapshot, encode_state, pack, unpack

VALUES = st.dictionaries(
    st.text(max_size=8), st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8)
)


@given(VALUES, st.lists(st.integers(-(2**31), 2**31 - 1), max_size=20))
def test_what_goes_in_comes_out_and_order_does_not_matter(values, numbers) -> None:
    arrays = {"b": np.array(numbers, np.int32), "a": np.zeros((2, 3), np.float32)}
    data = pack("thing", 3, Snapshot(values, arrays))
    back = unpack("thing", 3, data)
    assert back.values == values
    assert back.arrays.keys() == arrays.keys()
    assert all(np.array_equal(back.arrays[k], arrays[k]) for k in arrays)
    assert back.arrays["a"].dtype == np.float32
    backwards = dict(reversed(arrays.items()))
    assert pack("thing", 3, Snapshot(values, backwards)) == data


@given(st.data())
def test_any_flipped_bit_is_noticed(data) -> None:
    saved = bytearray(pack("thing", 1, Snapshot({"n": 1}, {"a": np.arange(9)})))
    place = data.draw(st.integers(0, len(saved) - 1))
    saved[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Incompatible):
        unpack("thing", 1, bytes(saved))


@pytest.mark.parametrize(("kind", "version"), [("other", 1), ("thing", 2)])
def test_another_kind_or_version_is_refused_by_name(kind: str, version: int) -> None:
    saved = pack("thing", 1, Snapshot({}, {}))
    with pytest.raises(Incompatible, match="found thing version 1"):
        unpack(kind, version, saved)


def test_what_has_no_place_in_a_snapshot_is_named() -> None:
    with pytest.raises(TypeError, match="object has no place in a snapshot"):
        encode_state(object())
