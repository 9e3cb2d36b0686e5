"""Who is robbed or paid from one machine: the accounts around a takeover.

What is named, and at what cost, is told in `graph.heuristics.takeover`.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission
from graph.compiled import bind, kernel
from graph.evidence import Role
from graph.heuristics.identity import links_by, links_of
from graph.heuristics.witness import reach
from graph.kernels import KIND_USER, slot
from graph.profiles import GENERATION, TAKEN, TAKEN_AT
from graph.thresholds import Thresholds
from graph.transaction import Entity
from graph.window import TransactionWindow


class Gang(NamedTuple):
    """What is known around a theft.

    Attributes:
        members: Victim, payee and device of the theft, then the others by role and name.
        thefts: Positions of the theft and of others to the same payees.
        victims: How many were robbed.
        device_users: How many users the device has.
        truncated: A bound was hit.
    """

    members: tuple[tuple[Entity, Role], ...]
    thefts: list[int]
    victims: int
    device_users: int
    truncated: bool


class Gangs:
    """Finds who else is robbed or paid by whoever robbed one account."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self._rows: NDArray[np.int64] = np.zeros(thresholds.sharing_scan, np.int64)
        self._paid: NDArray[np.int64] = np.zeros(thresholds.takeover_scan, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._users_kernel: Callable[..., Any] | None = None
        self._links_kernel: Callable[..., Any] | None = None
        self._payers_kernel: Callable[..., Any] | None = None

    def around(
        self, window: TransactionWindow, users: NDArray[np.int64], admission: Admission
    ) -> Gang:
        """Everybody who is known by now to be robbed or paid from the device of a theft.

        Args:
            window: It has just taken the theft in.
            users: The profiles' rows of users, in which its user is noted as taken over.
            admission: The theft, of which user, other party and device are known.
        """
        limits, accounts = self.thresholds, window.accounts
        came, truncated = self._came_to(window, admission.device)
        # The one at hand first, then the newest.
        victims = {admission.user: None}
        for user, first in came.items():
            if len(victims) < limits.witness and self._is_robbed(window, users, user, first):
                victims.setdefault(user)
        payees: dict[int, None] = {}
        if accounts.kind[admission.other] == KIND_USER:
            payees[admission.other] = None
        for user in victims:
            found, cut = self._first_paid(window, user, came.get(user, 0))
            truncated |= cut
            payees.update((payee, None) for payee in found if payee not in victims)
        thefts = {admission.position: None}
        for payee in list(payees)[: limits.witness]:
            robbed, cut = self._robbed_for(window, users, payee)
            truncated |= cut
            victims.update((payer, None) for payer in robbed.values() if payer not in payees)
            thefts.update((theft, None) for theft, payer in robbed.items() if payer not in payees)
        # What is paid by one victim may be a shop or a friend; what several pay is in it.
        alone = len(victims) == 1
        paid = Role.MULE if admission.other in payees and not alone else Role.RECEIVER
        members = {
            accounts.entity(admission.user): Role.VICTIM,
            accounts.entity(admission.other): paid,
            window.identifiers.entity(admission.device): Role.SHARED,
        }
        others = {} if alone or len(came) > limits.takeover_users else came
        for role, some in (
            (Role.VICTIM, victims), (paid, payees), (Role.MEMBER, others),
        ):  # fmt: skip
            for entity in sorted(accounts.entity(account) for account in some):
                members.setdefault(entity, role)
        return Gang(
            tuple(members.items()),
            list(thefts)[: limits.witness],
            len(victims),
            len(came),
            truncated or max(len(thefts), len(payees)) > limits.witness,
        )

    def _is_robbed(
        self, window: TransactionWindow, users: NDArray[np.int64], user: int, at: int
    ) -> bool:
        """Whether a user was told of as taken over about then."""
        known = users[user, GENERATION] == window.accounts.generation[user]
        near = abs(int(users[user, TAKEN_AT]) - at) <= self.thresholds.takeover_within
        return bool(known) and users[user, TAKEN] > 0 and near

    def _came_to(self, window: TransactionWindow, device: int) -> tuple[dict[int, int], bool]:
        """When each of its users came to a device, the newest first; whether a bound was hit."""
        oldest = window.watermark - window.config.retention
        arguments = (window.links, window.link_tail, device, oldest, self._rows)
        self._users_kernel = self._users_kernel or bind(links_of, *arguments)
        count, cut = self._users_kernel(*arguments)
        rows, links = self._rows[:count], window.links
        return dict(zip(links.user[rows].tolist(), links.first[rows].tolist(), strict=True)), (
            bool(cut)
        )

    def _first_paid(
        self, window: TransactionWindow, user: int, since: int
    ) -> tuple[list[int], bool]:
        """Users whom a user first paid in a session that began at a moment."""
        arguments = (window.links, window.link_tail, user, self._rows)
        self._links_kernel = self._links_kernel or bind(links_by, *arguments)
        count, cut = self._links_kernel(*arguments)
        rows, links = self._rows[:count], window.links
        others, first = -2 - links.entity[rows], links.first[rows]
        until = since + 2 * self.thresholds.takeover_within
        begun = others[(others >= 0) & (since <= first) & (first <= until)]
        payees = begun[window.edges.account_kind[begun] == KIND_USER]
        return [int(payee) for payee in payees], bool(cut)

    def _robbed_for(
        self, window: TransactionWindow, users: NDArray[np.int64], payee: int
    ) -> tuple[dict[int, int], bool]:
        """Payments to an account by payers who were taken over about then: position to payer."""
        since = window.watermark - reach(window, window.config.horizon)
        arguments = (window.edges, window.tail, payee, since, self._paid)
        self._payers_kernel = self._payers_kernel or bind(newest_into, *arguments)
        count, cut = self._payers_kernel(*arguments)
        positions = self._paid[:count].copy()
        rows, edges = window.rows_of(positions), window.edges
        payers, times = edges.source[rows].tolist(), edges.time[rows].tolist()
        return {
            position: payer
            for position, payer, time in zip(positions.tolist(), payers, times, strict=True)
            if self._is_robbed(window, users, payer, time)
        }, bool(cut)


@kernel
def newest_into(edges, tail, account, since, out):  # type: ignore[no-untyped-def]
    """Payments between users into an account since a moment that went through, newest first.

    Fills `out` (int64[n]); looks at no more than n edges. Mutates `out` only. Returns (how many,
    whether the bound n was hit).
    """
    count = 0
    position = edges.newest_in[account]
    for _ in range(out.shape[0]):
        if position < tail:
            return count, False
        s = slot(edges.pages, position)
        if edges.time[s] < since:
            return count, False
        source = edges.source[s]
        if source >= 0 and edges.account_kind[source] == KIND_USER and edges.value[s] > 0:
            out[count] = position
            count += 1
        if edges.back_in[s] == 0:
            return count, False
        position -= edges.back_in[s]
    return count, position >= tail
