"""Acquaintances who both have much refunded: what links a ring without a device in common.

What counts, and at what cost, is told in `graph.heuristics.refunds`.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.compiled import bind, kernel
from graph.heuristics.acquaintance import acquaintances_of
from graph.kernels import KIND_MERCHANT
from graph.layout import INWARD, OTHER, TIME, USER, VALUE
from graph.profiles import GENERATION, returns_of
from graph.thresholds import Thresholds
from graph.window import TransactionWindow


class Company(NamedTuple):
    """Who has much refunded together.

    Attributes:
        others: Acquaintances of the user at hand.
        refunds: Of all together, the one at hand included.
        refunded: What they were worth.
        bought: What all together bought.
        cut: Whether a bound was hit.
    """

    others: list[int]
    refunds: int
    refunded: int
    bought: int
    cut: bool


class Returners:
    """Finds those whom a user has paid and who have as much refunded."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self._others: NDArray[np.int64] = np.zeros(thresholds.witness, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def at(
        self, window: TransactionWindow, users: NDArray[np.int64], row: NDArray[np.int64]
    ) -> Company | None:
        """The company in which a refund laid out in `row` is one of several."""
        limits = self.thresholds
        arguments = (
            window.links,
            window.link_tail,
            window.edges.account_kind,
            users,
            window.accounts.generation,
            row,
            window.watermark - window.config.retention,
            limits.refund_each,
            float(limits.refund_each_share),
            limits.sharing_scan,
            self._others,
        )
        self._kernel = self._kernel or bind(company_at, *arguments)
        others, refunds, refunded, bought, cut = self._kernel(*arguments)
        if not others:
            return None
        found = self._others[:others].tolist()
        return Company(found, int(refunds), int(refunded), int(bought), bool(cut))


@kernel
def company_at(  # type: ignore[no-untyped-def]
    links, tail, kinds, users, generations, row, oldest, least, share, bound, out
):  # fmt: skip
    """Acquaintances of the user of a refund who have as much refunded as it has.

    Fills `out` (int64[n]) and asks no more than the n newest acquaintances, in no more than `bound`
    links. Mutates `out` only.

    Returns:
        (acquaintances, refunds, value refunded and value bought of all together, whether a bound
        was hit); all 0 where there are none.
    """
    zero = np.int64(0)
    user, other = row[USER], row[OTHER]
    if user < 0 or other < 0 or row[INWARD] == 0 or row[VALUE] <= 0:
        return 0, zero, zero, zero, False
    if kinds[other] != KIND_MERCHANT or users[user, GENERATION] != generations[user]:
        return 0, zero, zero, zero, False
    _, bought, refunded, refunds = returns_of(users, user, row[TIME])
    refunds, refunded = refunds + 1, refunded + row[VALUE]
    if refunds < least or refunded < share * bought:
        return 0, zero, zero, zero, False
    count, cut = acquaintances_of(links, tail, kinds, users, generations, user, oldest, bound, out)
    found = 0
    for i in range(count):
        _, b, v, r = returns_of(users, out[i], row[TIME])
        if r >= least and v >= share * b:
            out[found] = out[i]
            found += 1
            bought, refunded, refunds = bought + b, refunded + v, refunds + r
    if found == 0:
        return 0, zero, zero, zero, False
    return found, refunds, refunded, bought, cut
