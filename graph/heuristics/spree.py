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
from graph.profiles import BEGAN, FIRST, GENERATION, ProfileColumns
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
        self._company_kernel: Callable[..., Any] | None = None
        self._new_kernel: Callable[..., Any] | None = None

    def at(
        self, window: TransactionWindow, profiles: ProfileColumns, row: NDArray[np.int64]
    ) -> Spree | None:
        """The spree that a payment laid out in `row` makes, or goes on with, in company."""
        arguments = (*self._seen(window, profiles), row, *self._bounds(window))
        self._kernel = self._kernel or bind(spree_at, *arguments)
        new, others, cut = self._kernel(*arguments)
        return Spree(int(new), self._others[:others].tolist(), bool(cut)) if others else None

    def around(
        self, window: TransactionWindow, profiles: ProfileColumns, user: int, now: int
    ) -> tuple[list[int], bool]:
        """Acquaintances of a user who are on a spree at a moment, and whether a bound was hit."""
        arguments = (*self._seen(window, profiles), user, now, *self._bounds(window))
        self._company_kernel = self._company_kernel or bind(company_of, *arguments)
        others, cut = self._company_kernel(*arguments)
        return self._others[:others].tolist(), bool(cut)

    @staticmethod
    def _seen(window: TransactionWindow, profiles: ProfileColumns) -> tuple[Any, ...]:
        """The columns that both kernels read."""
        return (
            window.links,
            window.link_tail,
            window.edges.account_kind,
            profiles,
            window.accounts.generation,
        )

    def _bounds(self, window: TransactionWindow) -> tuple[Any, ...]:
        """What both compare with, and where they write whom they found."""
        limits = self.thresholds
        return (
            window.watermark - window.config.retention,
            limits.spree_within,
            limits.spree_merchants,
            limits.spree_after,
            limits.sharing_scan,
            self._others,
        )

    def new_of(self, window: TransactionWindow, user: int, now: int) -> int:
        """Merchants new to a user in the days up to a moment."""
        arguments = (
            window.links,
            window.link_tail,
            window.edges.account_kind,
            user,
            now - self.thresholds.spree_within,
            self.thresholds.sharing_scan,
        )
        self._new_kernel = self._new_kernel or bind(new_merchants_of, *arguments)
        return int(self._new_kernel(*arguments))


@kernel
def new_merchants_of(links, tail, kinds, user, since, bound):  # type: ignore[no-untyped-def]
    """How many merchants a user was first seen with after a moment, within the retention.

    Looks at the newest `bound` links. Mutates nothing.
    """
    new = 0
    position = links.newest_of_user[user]
    for _ in range(bound):
        if position < tail:
            break
        s = slot(links.pages, position)
        other = -2 - links.entity[s]
        if other >= 0 and links.first[s] > since and kinds[other] == KIND_MERCHANT:
            new += 1
        if links.back_user[s] == 0:
            break
        position -= links.back_user[s]
    return new


@kernel
def is_known(profiles, generations, user, time, after):  # type: ignore[no-untyped-def]
    """Whether a user has been there for so long, and anything has been seen. Mutates nothing."""
    users = profiles.users
    return (
        users[user, GENERATION] == generations[user]
        and users[user, FIRST] <= time - after
        and 0 < profiles.span[BEGAN] <= time - after
    )


@kernel
def company_of(  # type: ignore[no-untyped-def]
    links, tail, kinds, profiles, generations, user, time, oldest, within, least, after, bound, out
):  # fmt: skip
    """Acquaintances of a user who are on a spree at a moment.

    Fills `out` (int64[n]); asks no more than the n newest acquaintances. Mutates `out` only.

    Returns:
        (how many, whether a bound was hit).
    """
    count, cut = acquaintances_of(
        links, tail, kinds, profiles.users, generations, user, oldest, bound, out
    )
    found = 0
    for i in range(count):
        if (
            is_known(profiles, generations, out[i], time, after)
            and new_merchants_of(links, tail, kinds, out[i], time - within, bound) >= least
        ):
            out[found] = out[i]
            found += 1
    return found, cut


@kernel
def spree_at(  # type: ignore[no-untyped-def]
    links, tail, kinds, profiles, generations, row, oldest, within, least, after, bound, out
):
    """Acquaintances of the user of a row who are on a spree, if the row makes it one of its own.

    Fills `out` (int64[n]) as `company_of` does. Mutates `out` only.

    Returns:
        (merchants new to the user, acquaintances found, whether a bound was hit); no acquaintances
        where it is no spree.
    """
    user, other, time = row[USER], row[OTHER], row[TIME]
    if user < 0 or other < 0 or row[INWARD] != 0 or row[VALUE] <= 0 or row[_OTHER_SEEN] != 0:
        return 0, 0, False
    if kinds[other] != KIND_MERCHANT or not is_known(profiles, generations, user, time, after):
        return 0, 0, False
    new = new_merchants_of(links, tail, kinds, user, time - within, bound)
    if new < least:
        return new, 0, False
    found, cut = company_of(
        links, tail, kinds, profiles, generations, user, time, oldest, within, least, after, bound,
        out,
    )  # fmt: skip
    return new, found, cut
