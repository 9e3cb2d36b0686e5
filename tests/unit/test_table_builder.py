"""Rows that are kept by the batch: across chunks, up to the bound, with who took part in them."""

import numpy as np
import pytest

from graph.errors import InvalidInput
from scorer import table as module
from scorer.feature_catalogue import SCHEMA
from scorer.history import LabelledTransaction
from scorer.ports import Signals
from scorer.table import Kept, TableBuilder
from tests.oracles.streams import transaction

WIDTH = len(SCHEMA.names)
QUIET = Signals(accepted=True)


def kept(first: int, count: int) -> list[Kept]:
    """Every third is a fraud, every second of a card; the places have gaps."""
    return [
        Kept(
            LabelledTransaction(
                transaction(
                    n, n, f"u{n % 4}", f"shop{n % 3}", n + 1, card_id=f"c{n % 5}" if n % 2 else None
                ),
                n % 3 == 0,
                None,
                f"r{n}" if n % 3 == 0 else None,
            ),
            QUIET,
            2 * n,
            warm=n > 3,
        )
        for n in range(first, first + count)
    ]


def rows(first: int, count: int) -> np.ndarray:
    return np.repeat(np.arange(first, first + count, dtype=np.float32)[:, None], WIDTH, axis=1)


@pytest.mark.parametrize("batches", [[11], [1] * 11, [3, 8], [4, 0, 4, 3], [2, 9]])
def test_batches_and_chunks_leave_the_rows_as_they_came(batches, monkeypatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 4)
    builder, done = TableBuilder(SCHEMA), 0
    for size in batches:
        builder.keep(kept(done, size), rows(done, size))
        done += size
        assert len(builder) == done
    table = builder.table()
    expected = kept(0, 11)
    np.testing.assert_array_equal(table.rows, rows(0, 11))
    assert table.ids == tuple(one.item.transaction.transaction_id for one in expected)
    assert table.places.tolist() == [one.place for one in expected]
    assert table.fraud.tolist() == [one.item.fraud for one in expected]
    assert table.warm.tolist() == [one.warm for one in expected]
    assert table.values.tolist() == [one.item.transaction.value for one in expected]
    assert table.ring_ids == tuple(one.item.ring_id for one in expected)
    assert len(table.parties) == 11
    for row, one in enumerate(expected):
        tx = one.item.transaction
        assert table.parties.of(row, tx.transaction_id).entities == tuple(tx.entities)
    # Accounts and identifiers are numbered as they were first seen, nobody is -1.
    assert table.parties.codes()[:3].tolist() == [
        [0, 1, -1, -1, -1],
        [2, 3, -1, -1, 0],
        [4, 5, -1, -1, -1],
    ]


def test_the_first_row_beyond_the_bound_is_named(monkeypatch) -> None:
    builder = TableBuilder(SCHEMA)
    builder.keep(kept(0, 2), rows(0, 2))
    monkeypatch.setattr(module, "MAX_ROWS", 5)
    with pytest.raises(InvalidInput, match=r"transaction 11\b"):
        builder.keep(kept(2, 4), rows(2, 4))
    builder.keep(kept(2, 3), rows(2, 3))
    assert len(builder) == 5
