"""Embeddings on the wire: what is read is what was written, and what is not that is refused."""

import base64

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.transaction import Entity, EntityKind
from ingest.embedded_parts import InvalidEmbeddings, messages, read
from ingest.ports import Topic
from scorer.reference import Embedded

FLOATS = st.floats(-1e6, 1e6, width=32)
ENTITIES = st.builds(Entity, st.sampled_from(EntityKind), st.text(min_size=1, max_size=9))


@given(st.lists(st.tuples(ENTITIES, FLOATS, FLOATS), min_size=1, max_size=6), st.integers(0, 2**50))
def test_a_part_is_read_as_it_was_written(rows, as_of) -> None:
    entities = tuple(entity for entity, *_ in rows)
    part = Embedded("v", as_of, entities, np.array([floats for _, *floats in rows], np.float32))
    (message,) = messages([part])
    found = read(message.value)
    assert message.topic is Topic.EMBEDDINGS
    assert (found.model, found.as_of, found.entities) == ("v", as_of, entities)
    np.testing.assert_array_equal(found.rows, part.rows)


def record(**changed: object) -> bytes:
    whole = {
        "schema": "embeddings/1",
        "model": "v",
        "as_of": 1,
        "entities": [["user", "a"], ["device", "b"]],
        "rows": base64.b64encode(np.ones(4, "<f4").tobytes()).decode(),
    }
    return msgspec.json.encode(whole | changed)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff", "not what an encoder said"),
        (b"{}", "not what an encoder said"),
        (record(schema="embeddings/2"), "not what an encoder said"),
        (record(more=1), "not what an encoder said"),
        (record(entities=[["planet", "a"]]), "not what an encoder said"),
        (record(entities=[]), "as many numbers"),
        (record(entities=[["user", "a"], ["user", "b"], ["user", "c"]]), "as many numbers"),
        (
            record(rows=base64.b64encode(np.array([1, np.nan, 1, 1], "<f4").tobytes()).decode()),
            "not finite",
        ),
    ],
)
def test_what_is_no_part_is_refused(data, said) -> None:
    assert read(record()).rows.shape == (2, 2)
    with pytest.raises(InvalidEmbeddings, match=said):
        read(data)
