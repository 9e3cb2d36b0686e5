"""Who paid whom in the whole window: its edges as distinct pairs, and which of them are new.

A pair is fresh where neither had named the other as other party before the window began, as far
back as links are kept: what `graph.heuristics.acquaintance` says of one account, for all at once.
Everything is numpy over columns: O(n log n) for n live edges and links.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.kernels import KIND_MERCHANT, KIND_USER
from graph.window import TransactionWindow

_SHIFT = 32


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
    known = _known(window)
    return Paid(
        _distinct(payer, payee, positions, moved_by_user & (kind == KIND_USER), known),
        _distinct(payer, payee, positions, moved_by_user & (kind == KIND_MERCHANT), known),
    )


def _known(window: TransactionWindow) -> NDArray[np.int64]:
    """Who had dealt with whom before the window began: keys of (lower, higher), sorted."""
    _, rows = window.live_rows()
    links = window.links
    rows = rows[(links.entity[rows] <= -2) & (links.first[rows] < window.cutoff)]
    return np.sort(
        _key(links.user[rows].astype(np.int64), -2 - links.entity[rows].astype(np.int64))
    )


def _key(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    key: NDArray[np.int64] = (np.minimum(a, b) << _SHIFT) | np.maximum(a, b)
    return key


def _distinct(
    payer: NDArray[np.int64],
    payee: NDArray[np.int64],
    positions: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    known: NDArray[np.int64],
) -> Pairs:
    payer, payee, positions = payer[chosen], payee[chosen], positions[chosen]
    order = np.lexsort((positions, payee, payer))
    payer, payee, positions = payer[order], payee[order], positions[order]
    # The last of each run of equal pairs is the newest in order of arrival.
    last = np.ones(len(payer), np.bool_)
    last[:-1] = (payer[1:] != payer[:-1]) | (payee[1:] != payee[:-1])
    payer, payee, positions = payer[last], payee[last], positions[last]
    key = _key(payer, payee)
    fresh = np.ones(len(key), np.bool_)
    if len(known):
        fresh = known[np.minimum(np.searchsorted(known, key), len(known) - 1)] != key
    return Pairs(payer, payee, positions, fresh)
