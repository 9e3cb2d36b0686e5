"""Who goes from one new merchant to the next, and who of its acquaintances does the same.

What counts, and at what cost, is told in `graph.heuristics.bust_out`.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.compiled import bind, kernel
from graph.heuristics.acquaintance import acquaintances_of
from graph.kernels import KIND_MERCHANT, slot
from graph.layout import INWARD, LINKS, OTHER, TIME, USER, VALUE
from graph.thresholds import Thresholds
from graph.window import TransactionWindow

_OTHER_SEEN: Final = LINKS + 9
"""In a row: how often the user was seen with the other party before."""


class Spree(NamedTuple):
    """What is told of one.

    Attributes:
        new: Merchants that the user had never dealt with before these days.
        others: Its acquaintances on a spree of their own.
        cut: Whether a bound was hit.
    """

    new: int
    others: list[int]
    cut: bool


class Sprees:
    """Finds acquaintances who buy at one new merchant after the other in the same days."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self._others: NDArray[np.int64] = np.zeros(thresholds.witness, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None
        self._new_kernel: Callable[..., Any] | None = None

    def at(
        self, window: TransactionWindow, users: NDArray[np.int64], row: NDArray[np.int64]
    ) -> Spree | None:
        """The spree that a payment laid out in `row` makes, or goes on with, in company."""
        limits = self.thresholds
        arguments = (
            window.links,
            window.link_tail,
            window.edges.account_kind,
            users,
            window.accounts.generation,
            row,
            window.watermark - window.config.retention,
            limits.spree_within,
            limits.spree_merchants,
            limits.spree_known,
            limits.sharing_scan,
            self._others,
        )
        self._kernel = self._kernel or bind(spree_at, *arguments)
        new, others, cut = self._kernel(*arguments)
        return Spree(int(new), self._others[:others].tolist(), bool(cut)) if others else None

    def new_of(self, window: TransactionWindow, user: int, now: int) -> int:
        """Merchants new to a user in the days up to a moment."""
        arguments = (
            window.links,
            window.link_tail,
            window.edges.account_kind,
            user,
            window.watermark - window.config.retention,
            now - self.thresholds.spree_within,
            self.thresholds.sharing_scan,
        )
        self._new_kernel = self._new_kernel or bind(merchants_of, *arguments)
        return int(self._new_kernel(*arguments)[0])


@kernel
def merchants_of(links, tail, kinds, user, oldest, since, bound):  # type: ignore[no-untyped-def]
    """Merchants that a user was first seen with after a moment, and those it knew before.

    Looks at the newest `bound` links. Mutates nothing.

    Returns:
        (new, known).
    """
    new, known = 0, 0
    position = links.newest_of_user[user]
    for _ in range(bound):
        if position < tail:
            break
        s = slot(links.pages, position)
        other = -2 - links.entity[s]
        if other >= 0 and kinds[other] == KIND_MERCHANT and links.last[s] >= oldest:
            if links.first[s] > since:
                new += 1
            else:
                known += 1
        if links.back_user[s] == 0:
            break
        position -= links.back_user[s]
    return new, known


@kernel
def spree_at(  # type: ignore[no-untyped-def]
    links, tail, kinds, users, generations, row, oldest, within, least_new, least_known, bound, out
):  # fmt: skip
    """Acquaintances of the user of a row who are on a spree, if the row makes it one of its own.

    Fills `out` (int64[n]); asks no more than the n newest acquaintances. Mutates `out` only.

    Returns:
        (merchants new to the user, acquaintances found, whether a bound was hit); no acquaintances
        where it is no spree.
    """
    user, other, since = row[USER], row[OTHER], row[TIME] - within
    if user < 0 or other < 0 or row[INWARD] != 0 or row[VALUE] <= 0 or row[_OTHER_SEEN] != 0:
        return 0, 0, False
    if kinds[other] != KIND_MERCHANT:
        return 0, 0, False
    new, known = merchants_of(links, tail, kinds, user, oldest, since, bound)
    if new < least_new or known < least_known:
        return new, 0, False
    count, cut = acquaintances_of(links, tail, kinds, users, generations, user, oldest, bound, out)
    found = 0
    for i in range(count):
        news, knows = merchants_of(links, tail, kinds, out[i], oldest, since, bound)
        if news >= least_new and knows >= least_known:
            out[found] = out[i]
            found += 1
    return new, found, cut
