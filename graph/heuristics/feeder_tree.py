"""Money of several that runs together and on: feeder trees.

Behaviour
    A network of mules: victims (or other sources) pay several accounts, each too few times to
    stand out, these pass it on within hours to a collector, who takes it out as cash or in goods.
    No account is a hub, what shows is that everybody's money is the money of somebody else.

Definition
    What leaves an account takes from what came in last (last in, first out): its own savings lie
    beneath and are not touched. A payment relays if at least `tree_carries` of it is money that
    came in during the `tree_within` before it, and some of that from feeders: users of whose
    payment in at least `tree_passes_on` has gone out again by then, and which made up a tenth of it
    or more.
    At an edge e = (u → v) that relays,

    - the root is v where it is a user, and the trunk all that relays into it within `tree_within`,
      up to e; else the root is u, and the trunk is e: a purchase or cash;
    - the tree is the trunk, the payments of its feeders, and of theirs, `tree_search.LEVELS` deep
      and no longer before e than as many times `tree_within`;
    - beside it stand others to whom its outermost feeders paid, in the same span, what these have
      passed on as well.

    It is told if at least `tree_accounts` accounts are in it, and the ends of at least
    `tree_fresh_share` of its payments had not dealt with each other before: payment by payment up
    to `told_singly`, and then each time it grew by a quarter (`told_counts`).

Method and cost
    Edges strictly before e only. O(1) where nothing came in from a user in the span, which is most
    payments; else the flows of each account in the tree are matched once a payment, O(n + m) for n
    in and m out, at most `tree_scan` edges in all, `tree_flows` a side, `witness` accounts and
    twice as many payments (then `truncated`).

Misses
    Money that rests longer than the span; trees of three (one mule with two victims: see `mule`);
    cash that is paid in and passed on (see `structuring`).
    An edge that arrives late beside the tree is seen with its next payment only.

False positives
    Flat-mates who pay together for what one of them buys, a treasurer, a trip that was paid in
    advance: they have dealt with each other, or will again.

Source
    Li et al., "FlowScope: Spotting Money Laundering Based on Graphs", AAAI 2020 (what goes through
    a layer of accounts is what came in); Europol, "European Money Mule Action" findings (herders,
    mules, collectors).

>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, trees = TransactionWindow(), FeederTrees(Thresholds())
>>> flows = [("a", "mule1", 100), ("b", "mule2", 80), ("mule1", "boss", 95), ("mule2", "boss", 75)]
>>> for n, (payer, payee, amount) in enumerate(flows):
...     tx = Transaction(f"t{n}", 60_000 * (n + 1), TransactionType.TRANSFER,
...                      Money(amount, "EUR"), amount, payer, counterparty_id=payee)
...     found = trees.detect(window, tx, window.add(tx))
>>> found[0].reason
'user:boss gathered what 2 accounts passed on for 2 others, within 3 min; 4 of 4 payments were new.'
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.acquaintance import acquainted
from graph.heuristics.tree_search import LEVELS, tree_at
from graph.heuristics.witness import reach, span_in_words, witness
from graph.thresholds import Thresholds, told_counts
from graph.transaction import Entity, Transaction
from graph.window import TransactionWindow
from graph.wording import counted, were

_FEWEST_HOPS: Final = 2


class FeederTrees:
    """Finds money of several that runs together; see the module's docstring.

    `strength` is 0.15, plus up to 0.15 for accounts beyond the threshold (five more are full), plus
    0.15 times the share of fresh payments, plus up to 0.1 for haste (an instant tree is full). Most
    trees are those of people who share what they buy: only a large and hasty one of strangers bears
    a ring by itself, or without a judge every ring would be tied to every other.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        most = 2 * thresholds.witness
        self.told = told_counts(_FEWEST_HOPS, thresholds.told_singly, most)
        self._accounts: NDArray[np.int64] = np.zeros(thresholds.witness, np.int64)
        self._hops: NDArray[np.int64] = np.zeros((2, most), np.int64)
        self._ins: NDArray[np.int64] = np.zeros((3, thresholds.tree_flows), np.int64)
        self._outs: NDArray[np.int64] = np.zeros(thresholds.tree_flows, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """The tree whose money this transaction moves on."""
        del tx
        return self.at(window, admission.position) if admission.status is Status.ACCEPTED else ()

    def at(self, window: TransactionWindow, position: int) -> Sequence[Evidence]:
        """The tree whose money the edge at a live position moves on."""
        limits = self.thresholds
        arguments = (
            window.edges,
            window.tail,
            window.cutoff,
            position,
            reach(window, limits.tree_within),
            reach(window, LEVELS * limits.tree_within),
            limits.tree_carries,
            limits.tree_passes_on,
            limits.tree_accounts,
            limits.tree_scan,
            self._accounts,
            self._hops,
            self._ins,
            self._outs,
        )
        self._kernel = self._kernel or bind(tree_at, *arguments)
        accounts, hops, beside, truncated = (int(n) for n in self._kernel(*arguments))
        if hops not in self.told:
            return ()
        return self._judge(
            window, self._accounts[:accounts].tolist(), hops, beside, cut=bool(truncated)
        )

    def _judge(
        self, window: TransactionWindow, accounts: list[int], count: int, beside: int, *, cut: bool
    ) -> Sequence[Evidence]:
        """Evidence if enough of the payments are between strangers."""
        limits = self.thresholds
        shown = self._hops[0, :count]
        hops = witness(window, shown.tolist())
        known = acquainted(window, shown, hops[0].timestamp - window.config.lateness)
        fresh = count - known
        if fresh < limits.tree_fresh_share * count:
            return ()
        members = [window.accounts.entity(account) for account in accounts]
        roles = _roles(members[0], members[len(members) - beside :], hops)
        passing = sum(role is Role.MULE for role in roles.values())
        sources = sum(role is Role.SENDER for role in roles.values())
        span = hops[-1].timestamp - hops[0].timestamp
        gathers = roles[members[0]] is Role.RECEIVER
        return [
            Evidence(
                pattern=Pattern.FEEDER_TREE,
                seen_at=hops[-1].timestamp,
                members=tuple((member, roles[member]) for member in members),
                hops=hops,
                strength=(
                    0.15
                    + 0.15 * min((len(members) - limits.tree_accounts) / 5, 1)
                    + 0.15 * fresh / count
                    + 0.1 * (1 - min(span / limits.tree_within, 1))
                ),
                reason=(
                    f"{members[0]} {'gathered' if gathers else 'took out'} what "
                    f"{_whose(passing, sources)}, within {span_in_words(span)}; "
                    f"{fresh} of {count} payments {were(fresh)} new."
                ),
                facts={
                    "sources": float(sources),
                    "passing": float(passing),
                    "beside": float(beside),
                    "fresh_payments": float(fresh),
                    "minutes": span / 60_000,
                },
                truncated=cut,
            )
        ]


def _whose(passing: int, sources: int) -> str:
    """Whose money it was, as an investigator says it.

    >>> _whose(2, 1), _whose(1, 3), _whose(0, 2)
    ('2 accounts passed on for 1 other', '1 account passed on for 3 others', '2 accounts had paid')
    """
    if passing:
        return f"{counted(passing, 'account')} passed on for {counted(sources, 'other')}"
    return f"{counted(sources, 'account')} had paid"


def _roles(root: Entity, beside: Sequence[Entity], hops: Sequence[Hop]) -> dict[Entity, Role]:
    """Who gathers or takes out, who passes on, who only pays."""
    paid = {hop.target for hop in hops}
    out = any(hop.source == root for hop in hops)
    roles = {root: Role.CASH_OUT if out else Role.RECEIVER}
    for hop in hops:
        if hop.source is not None and hop.source != root:
            roles[hop.source] = Role.MULE if hop.source in paid else Role.SENDER
    return roles | dict.fromkeys(beside, Role.MULE)
