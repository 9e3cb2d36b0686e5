"""Who paid whom in the whole window: its edges as distinct pairs, and which of them are new.

A pair is fresh where neither had named the other as other party before the window began, as far
back as links are kept: what `graph.heuristics.acquaintance` says of one account, for all at once.
Numpy over columns and one pass over the links: O(e log e + l) for e live edges and l links.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.compiled import kernel
from graph.kernels import KIND_MERCHANT, KIND_USER
from graph.sweep.peeling import by_ends
from graph.window import TransactionWindow

_SHIFT = 32
_SPREAD = 0x9E3779B97F4A7C1
"""Odd, near 2^60 / the golden ratio: spreads keys over a table by their middle bits (Knuth,
"The Art of Computer Programming", vol. 3, 6.4)."""


class Pairs(NamedTuple):
    """Distinct (payer, payee) pairs between which money moved, ordered by payer, then payee.

    Attributes:
        payer, payee: int64[n], account ids.
        newest: int64[n], position of the newest payment.
        fresh: bool[n], neither had dealt with the other before the window began.
    """

    payer: NDArray[np.int64]
    payee: NDArray[np.int64]
    newest: NDArray[np.int64]
    fresh: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_]) -> "Pairs":
        """Some of them."""
        return Pairs(
            self.payer[chosen], self.payee[chosen], self.newest[chosen], self.fresh[chosen]
        )


class Paid(NamedTuple):
    """The pairs of a window, by what the payee is."""

    transfers: Pairs
    purchases: Pairs


def remembers(window: TransactionWindow) -> int:
    """The earliest sighting that a window's links know of, ms; its watermark if there is none."""
    _, rows = window.live_rows()
    return min(
        int(window.links.first[rows].min()) if len(rows) else window.watermark, window.watermark
    )


def paid(window: TransactionWindow) -> Paid:
    """Pairs of two users, and of a user and a merchant, of the live edges since the cutoff."""
    rows, _ = window.live_rows()
    edges = window.edges
    source, target = edges.source[rows], edges.target[rows]
    moved = (source >= 0) & (target >= 0) & (source != target) & (edges.value[rows] > 0)
    moved &= edges.time[rows] >= window.cutoff
    positions = np.flatnonzero(moved) + window.tail
    payer, payee = source[moved].astype(np.int64), target[moved].astype(np.int64)
    moved_by_user = edges.account_kind[payer] == KIND_USER
    kind = edges.account_kind[payee]
    transfers = _distinct(payer, payee, positions, moved_by_user & (kind == KIND_USER))
    purchases = _distinct(payer, payee, positions, moved_by_user & (kind == KIND_MERCHANT))
    keys = [_key(pairs.payer, pairs.payee) for pairs in (transfers, purchases)]
    fresh = ~_dealt_before(window, np.concatenate(keys))
    both = len(transfers.payer)
    return Paid(transfers._replace(fresh=fresh[:both]), purchases._replace(fresh=fresh[both:]))


def _dealt_before(window: TransactionWindow, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of which keys, int64[n], the two had dealt before the window began, bool[n]."""
    _, rows = window.live_rows()
    # At most half full, so that a search ends soon.
    table = np.full(1 << (2 * len(keys)).bit_length(), -1, np.int64)
    met = np.zeros(len(table), np.bool_)
    known = np.zeros(len(keys), np.bool_)
    _recognise(window.links, rows, window.cutoff, keys, table, met, known)
    return known


def _key(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    key: NDArray[np.int64] = (np.minimum(a, b) << _SHIFT) | np.maximum(a, b)
    return key


def _distinct(
    payer: NDArray[np.int64],
    payee: NDArray[np.int64],
    positions: NDArray[np.int64],
    chosen: NDArray[np.bool_],
) -> Pairs:
    """The pairs, all taken for fresh; `positions` ascend."""
    payer, payee, positions = payer[chosen], payee[chosen], positions[chosen]
    order = by_ends(payer, payee)
    payer, payee, positions = payer[order], payee[order], positions[order]
    # The last of each run of equal pairs is the newest in order of arrival.
    last = np.ones(len(payer), np.bool_)
    last[:-1] = (payer[1:] != payer[:-1]) | (payee[1:] != payee[:-1])
    payer, payee, positions = payer[last], payee[last], positions[last]
    return Pairs(payer, payee, positions, np.ones(len(payer), np.bool_))


@kernel(nogil=True)
def _recognise(links, rows, before, keys, table, met, known):  # type: ignore[no-untyped-def]
    """Mark the keys of which a link between two accounts was first seen before a moment.

    Args:
        links: Columns of the link log.
        rows: int64[l], its live rows.
        before: The moment, ms.
        keys: int64[n], see `_key`; the same one may come twice, for either direction.
        table: int64, a power of two above n, all -1: the keys by open addressing. Scratch.
        met: bool, as long, False: which of them were recognised. Scratch.
        known: bool[n]. Mutated.
    """
    user, entity, first = links.user, links.entity, links.first
    for key in keys:
        table[_place(table, key)] = key
    for row in rows:
        if entity[row] > -2 or first[row] >= before:
            continue
        a, b = np.int64(user[row]), -2 - np.int64(entity[row])
        at = _place(table, (min(a, b) << _SHIFT) | max(a, b))
        if table[at] >= 0:
            met[at] = True
    for i in range(keys.shape[0]):
        known[i] = met[_place(table, keys[i])]


@kernel
def _place(table, key):  # type: ignore[no-untyped-def]
    """Where a key stands in the table, or where it would."""
    mask = table.shape[0] - 1
    at = ((key * _SPREAD) >> 24) & mask
    while table[at] != key and table[at] >= 0:
        at = (at + 1) & mask
    return at
