"""Who knew each other before: what tells a payroll or a family from a crowd of strangers.

Two accounts are acquainted at a moment if either was the other's counterparty before it, as far as
the link log remembers (30 days by default). A yearly or monthly habit just outside that is
forgotten, and so is everything before the stream began.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.compiled import bind, kernel
from graph.kernels import KIND_USER, slot
from graph.profiles import GENERATION
from graph.window import TransactionWindow


class Acquaintance:
    """Tells strangers from acquaintances, for one heuristic."""

    def __init__(self) -> None:
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def load(self, window: TransactionWindow) -> None:
        """Load the kernel before the first piece of evidence needs it: that takes 10 ms."""
        self.of(window, 0, np.empty(0, np.int64), 0, 2)

    def of(
        self,
        window: TransactionWindow,
        account: int,
        others: NDArray[np.int64],
        before: int,
        budget: int,
    ) -> tuple[NDArray[np.bool_], bool]:
        """Which of the other accounts had dealt with the account before a moment, either way.

        Args:
            window: The window.
            account: Account id.
            others: int64[n], distinct account ids, ascending.
            before: Epoch ms; a pair first seen at or after it is not acquainted.
            budget: Most links looked at: half for the account's own, half shared by the others.

        Returns:
            (bool[n], whether the budget cut a search short: then some may know each other after
            all).
        """
        known = np.zeros(len(others), np.bool_)
        arguments = (window.links, window.link_tail, account, others, before, budget // 2, known)
        self._kernel = self._kernel or bind(mark_acquainted, *arguments)
        return known, bool(self._kernel(*arguments))


def acquainted(window: TransactionWindow, positions: NDArray[np.int64], before: int) -> int:
    """Of live edges, how many are between two accounts that had dealt before a moment, either way.

    Two look-ups an edge, for witnesses; `Acquaintance` is for crowds around one account.
    """
    rows = window.rows_of(positions)
    ends = zip(window.edges.source[rows].tolist(), window.edges.target[rows].tolist(), strict=True)
    return sum(
        a >= 0 and b >= 0 and (window.dealt(a, b, before) or window.dealt(b, a, before))
        for a, b in ends
    )


@kernel
def mark_acquainted(links, tail, account, others, before, budget, known):  # type: ignore[no-untyped-def]
    """Mark those that either names, each with the budget; returns whether a walk was cut short.

    `others` is int64[n], distinct and ascending. Mutates `known` (bool[n]) only.
    """
    cut = _dealt_with(links, tail, account, others, before, budget, known)
    return _were_dealt_with_by(links, tail, account, others, before, budget, known) or cut


@kernel
def _dealt_with(links, tail, account, others, before, budget, known):  # type: ignore[no-untyped-def]
    """Mark those that the account's own links name; returns whether the walk was cut short.

    Mutates `known` (bool[n]) only.
    """
    scanned = 0
    position = links.newest_of_user[account]
    while position >= tail:
        if scanned == budget:
            return True
        scanned += 1
        s = slot(links.pages, position)
        other = -2 - links.entity[s]
        if other >= 0 and links.first[s] < before:
            i = np.searchsorted(others, other)
            if i < others.shape[0] and others[i] == other:
                known[i] = True
        if links.back_user[s] == 0:
            break
        position -= links.back_user[s]
    return False


@kernel
def _were_dealt_with_by(links, tail, account, others, before, budget, known):  # type: ignore[no-untyped-def]
    """Mark those whose links name the account; returns whether a walk was cut short.

    Mutates `known` (bool[n]) only.
    """
    cut = False
    each = max(budget // max(others.shape[0], 1), 1)
    for i in range(others.shape[0]):
        scanned = 0
        position = np.int64(-1) if known[i] else links.newest_of_user[others[i]]
        while position >= tail:
            if scanned == each:
                cut = True
                break
            scanned += 1
            s = slot(links.pages, position)
            if links.entity[s] == -2 - account:
                known[i] = links.first[s] < before
                break
            if links.back_user[s] == 0:
                break
            position -= links.back_user[s]
    return cut


@kernel
def acquaintances_of(  # type: ignore[no-untyped-def]
    links, tail, kinds, users, generations, user, oldest, bound, out
):
    """Users with a profile whom a user has dealt with since `oldest`, the newest first.

    Fills `out` (int64[n]); looks at no more than `bound` links. Mutates `out` only. Numba's cache
    of a caller in another file does not notice a change of this one: touch it too.

    Returns:
        (how many, whether a bound was hit).
    """
    count = 0
    position = links.newest_of_user[user]
    for _ in range(bound):
        if position < tail:
            return count, False
        s = slot(links.pages, position)
        friend = np.int64(-2 - links.entity[s])
        if (
            friend >= 0
            and friend != user
            and kinds[friend] == KIND_USER
            and links.last[s] >= oldest
            and users[friend, GENERATION] == generations[friend]
        ):
            if count == out.shape[0]:
                return count, True
            out[count] = friend
            count += 1
        if links.back_user[s] == 0:
            return count, False
        position -= links.back_user[s]
    return count, True
