"""Who is beyond their means together: the acquaintances of an account whose week is.

What is named, and at what cost, is told in `graph.heuristics.bust_out`.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.compiled import bind
from graph.heuristics.identity import links_by
from graph.kernels import KIND_USER
from graph.profiles import GENERATION, STRAINED
from graph.thresholds import Thresholds
from graph.window import TransactionWindow


class Cohorts:
    """Finds accounts that pay each other and are beyond their means in the same days."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self._rows: NDArray[np.int64] = np.zeros(thresholds.sharing_scan, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._links_kernel: Callable[..., Any] | None = None

    def around(
        self, window: TransactionWindow, users: NDArray[np.int64], user: int, week: int
    ) -> tuple[list[int], bool]:
        """Those whom a user has paid and who are strained this week or were in the last.

        Args:
            window: Whose links say who has paid whom.
            users: The profiles' rows of users.
            user: Whose acquaintances.
            week: This week.

        Returns:
            (accounts, the newest acquaintance first; whether a bound was hit: `witness` accounts,
            or `sharing_scan` links).
        """
        payees, cut = self._paid_by(window, user)
        others = dict.fromkeys(payee for payee in payees if payee != user)
        found = [other for other in others if self._is_strained(window, users, other, week)]
        most = self.thresholds.witness - 1
        return found[:most], cut or len(found) > most

    def _paid_by(self, window: TransactionWindow, user: int) -> tuple[list[int], bool]:
        """Users whom a user has paid within the retention, the newest acquaintance first."""
        arguments = (window.links, window.link_tail, user, self._rows)
        self._links_kernel = self._links_kernel or bind(links_by, *arguments)
        count, cut = self._links_kernel(*arguments)
        rows, links = self._rows[:count], window.links
        oldest = window.watermark - window.config.retention
        others = -2 - links.entity[rows][links.last[rows] >= oldest]
        others = others[others >= 0]
        payees = others[window.edges.account_kind[others] == KIND_USER]
        return [int(payee) for payee in payees], bool(cut)

    def _is_strained(
        self, window: TransactionWindow, users: NDArray[np.int64], user: int, week: int
    ) -> bool:
        alive = users[user, GENERATION] == window.accounts.generation[user]
        return bool(alive) and users[user, STRAINED] in (week, week + 1)
