"""Money that does not stay: pass-through accounts (mules).

Behaviour
    A recruited or hijacked account receives money from several victims and forwards it, to another
    account or out of the graph, before anybody looks, keeping a commission.

Definition
    The money of an account is a queue: what came in first goes out first (FIFO), and an outgoing
    amount takes from what has strictly earlier come in; what exceeds the queue was the account's
    own and matches nothing. At an edge e out of user u, over the edges before e in the span
    `mule_within` (and what the window can vouch for) plus e itself, u is a mule if

    - matched money that went to users or out of the graph is at least `mule_passes_on` of all that
      came in. Money spent at merchants leaves the queue but is not forwarded: friends who chip in
      for a dinner are not victims;
    - the median forwarded unit of money stayed less than `mule_dwell` (amount-weighted: at least
      half of the money did);
    - at least `mule_senders` distinct users sent money who are strangers: u paid them nothing in
      the span, and the link log knows of no dealing with them before it;
    - e itself forwards matched money. So a mule is told once per forwarding, up to `told_singly`
      forwardings in the span, and then each time they grew by a quarter (`told_counts`).

Method and cost
    Walks `back_pred`/`back_in` and `back_out`, then one merge of the two: O(n + m) for n edges in
    and m out in the span, each at most `mule_scan` (then `truncated`, judged on the newest).
    O(1) where nothing came in, O(n) where fewer than `mule_senders` sent.

Misses
    Cash-out by purchase (gift cards, exchanges booked as merchants); mules that wait over night;
    one big victim; senders who dealt with the mule before; equal timestamps, which match nothing.

False positives
    Agents, brokers, treasurers of clubs, students who collect for a trip. Their payers are mostly
    acquaintances, which the link log knows after a while.

Source
    Europol, "European Money Mule Action" (EMMA) findings; FIFO is the tracing rule of Clayton's
    Case (Devaynes v Noble, 1816), used for tainted money by Anderson, Shumailov and Ahmed, "Making
    Bitcoin Legal", 2018.

>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, mules = TransactionWindow(), Mules(Thresholds())
>>> flows = [("a", "mule", 100), ("b", "mule", 100), ("c", "mule", 100), ("mule", "boss", 270)]
>>> for n, (payer, payee, amount) in enumerate(flows):
...     tx = Transaction(f"t{n}", 60_000 * (n + 1), TransactionType.TRANSFER,
...                      Money(amount, "EUR"), amount, payer, counterparty_id=payee)
...     found = mules.detect(window, tx, window.add(tx))
>>> found[0].reason
'user:mule passed on 90 % of what 3 strangers sent within the day, half of it within 2 min.'
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.acquaintance import Acquaintance
from graph.heuristics.witness import reach, span_in_words, witness
from graph.kernels import KIND_MERCHANT, KIND_USER, slot
from graph.thresholds import Thresholds, told_counts
from graph.transaction import Entity, EntityKind, Transaction
from graph.window import TransactionWindow


class Mules:
    """Finds pass-through accounts; see the module's docstring.

    `strength` is 0.4, plus up to 0.2 each for senders beyond the threshold (five more are full),
    for haste (an instant median is full) and for the share passed on beyond the threshold (all of
    it is full), and at most 0.95.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        n = thresholds.mule_scan
        self.told = told_counts(1, thresholds.told_singly, n)
        self._ins: NDArray[np.int64] = np.zeros((2, n), np.int64)
        self._outs: NDArray[np.int64] = np.zeros(n + 1, np.int64)
        self._senders: NDArray[np.int64] = np.zeros(thresholds.mule_senders, np.int64)
        self._flows: NDArray[np.int64] = np.zeros((2 * n + 1, 4), np.int64)
        self._acquaintance = Acquaintance()
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this transaction makes its payer a mule, or a mule once more."""
        del tx
        return self.at(window, admission.position) if admission.status is Status.ACCEPTED else ()

    def at(self, window: TransactionWindow, position: int) -> Sequence[Evidence]:
        """Whether the edge at a live position makes its payer a mule."""
        limits = self.thresholds
        arguments = (
            window.edges,
            window.tail,
            window.cutoff,
            position,
            reach(window, limits.mule_within),
            limits.mule_passes_on,
            limits.mule_dwell,
            self._ins,
            self._outs,
            self._senders,
            self._flows,
        )
        if self._kernel is None:
            self._kernel = bind(flows_at, *arguments)
            self._acquaintance.load(window)
        came, went, flows, forwardings, received, forwarded, truncated = self._kernel(*arguments)
        if forwardings not in self.told:
            return ()
        return self._judge(
            window,
            self._ins[0, :came],
            self._outs[:went],
            self._flows[:flows],
            int(received),
            int(forwarded),
            truncated=bool(truncated),
        )

    def _judge(
        self,
        window: TransactionWindow,
        ins: NDArray[np.int64],
        outs: NDArray[np.int64],
        flows: NDArray[np.int64],
        received: int,
        forwarded: int,
        *,
        truncated: bool,
    ) -> Sequence[Evidence]:
        """Evidence if enough of the senders are strangers; arrays as `flows_at` fills them."""
        limits, edges = self.thresholds, window.edges
        came, went = window.rows_of(ins), window.rows_of(outs)
        centre, now = int(edges.source[went[0]]), int(edges.time[went[0]])
        senders = np.setdiff1d(edges.source[came], edges.target[went]).astype(np.int64)
        senders = senders[senders >= 0]
        senders = senders[edges.account_kind[senders] == KIND_USER]
        since = max(now - reach(window, limits.mule_within), window.cutoff)
        known, cut = self._acquaintance.of(window, centre, senders, since, limits.acquaintance_scan)
        strangers = set(senders[~known].tolist())
        if len(strangers) < limits.mule_senders:
            return ()
        dwell = median_dwell(flows)
        shown = _shown(flows, int(outs[0]), limits.witness)
        hops = witness(window, shown)
        mule = window.accounts.entity(centre)
        named = strangers.intersection(edges.source[window.rows_of(np.array(list(shown)))].tolist())
        share = forwarded / received
        return [
            Evidence(
                pattern=Pattern.MULE,
                seen_at=now,
                members=_members(mule, {window.accounts.entity(s) for s in named}, hops),
                hops=hops,
                strength=self._strength(len(strangers), dwell, share),
                reason=(
                    f"{mule} passed on {100 * share:.0f} % of what {len(strangers)} strangers sent "
                    f"within the day, half of it within {span_in_words(dwell)}."
                ),
                facts={
                    "senders": float(len(strangers)),
                    "acquaintances": float(len(senders) - len(strangers)),
                    "received": float(received),
                    "forwarded": float(forwarded),
                    "median_dwell_minutes": dwell / 60_000,
                },
                retained=share,
                truncated=truncated or cut or len(shown) < len(np.unique(flows[:, :2])),
            )
        ]

    def _strength(self, strangers: int, dwell: int, share: float) -> float:
        limits = self.thresholds
        crowd = min((strangers - limits.mule_senders) / 5, 1)
        haste = 1 - dwell / limits.mule_dwell
        beyond = (share - limits.mule_passes_on) / max(1 - limits.mule_passes_on, 0.01)
        return min(0.4 + 0.2 * crowd + 0.2 * haste + 0.2 * beyond, 0.95)


def _members(
    mule: Entity, strangers: set[Entity], hops: tuple[Hop, ...]
) -> tuple[tuple[Entity, Role], ...]:
    """The mule, the strangers whose money is in the witness, then who got it."""
    members: dict[Entity, Role] = {mule: Role.MULE}
    for hop in hops:
        if hop.source in strangers:
            members.setdefault(hop.source, Role.SENDER)
    for hop in hops:
        if hop.source == mule and hop.target is not None and hop.target.kind is EntityKind.USER:
            members.setdefault(hop.target, Role.RECEIVER)
    return tuple(members.items())


def median_dwell(flows: NDArray[np.int64]) -> int:
    """How long the median unit of money stayed, ms (the lower median).

    >>> median_dwell(np.array([[0, 9, 60, 5], [1, 9, 50, 90]]))
    5
    """
    by_dwell = flows[np.argsort(flows[:, 3], kind="stable")]
    passed = np.cumsum(by_dwell[:, 2])
    return int(by_dwell[np.searchsorted(2 * passed, passed[-1]), 3])


def _shown(flows: NDArray[np.int64], position: int, most: int) -> set[int]:
    """Positions of the witness: the forwarding at hand, then the newest flows that fit."""
    shown = {position}
    for came, went in flows[: -most - 1 : -1, :2].tolist():
        if len(shown | {came, went}) > most:
            break
        shown |= {came, went}
    return shown


@kernel
def flows_at(  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912, PLR0915  # one merge
    edges, tail, cutoff, position, within, passes_on, dwell, ins, outs, senders, flows
):
    """Match what came in against what went out up to the edge at `position`, first in first out.

    Fills `ins` (int64[2, n]: positions newest first; what is left of each), `outs` (int64[n + 1],
    newest first, the edge itself at 0), `senders` (int64[k], scratch: the first k distinct users)
    and `flows` (int64[2n + 1, 4]: came, went, value, dwell; forwarded money only, oldest first).
    Mutates these four only.

    Returns:
        (ins, outs, flows, outs that forwarded, value received, value forwarded, whether a bound
        was hit); all 0 where fewer than k users sent, too little was forwarded, too slowly, or
        nothing by this edge.
    """
    none = (0, 0, 0, 0, np.int64(0), np.int64(0), False)
    e = slot(edges.pages, position)
    u, v = edges.source[e], edges.target[e]
    now = edges.time[e]
    if u < 0 or u == v or edges.value[e] <= 0 or edges.back_pred[e] == 0:
        return none
    if edges.account_kind[u] != KIND_USER or (v >= 0 and edges.account_kind[v] == KIND_MERCHANT):
        return none
    since = max(now - within, cutoff)
    bound = ins.shape[1]
    truncated = False

    received = np.int64(0)
    came = 0
    distinct = 0
    scanned = 0
    p = position - edges.back_pred[e]
    while p >= tail:
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            break
        if scanned == bound:
            truncated = True
            break
        scanned += 1
        w = edges.source[s]
        if edges.value[s] > 0 and edges.time[s] < now and w != u:
            ins[0, came] = p
            ins[1, came] = edges.value[s]
            received += edges.value[s]
            came += 1
            if w >= 0 and distinct < senders.shape[0] and edges.account_kind[w] == KIND_USER:
                seen = False
                for i in range(distinct):
                    seen |= senders[i] == w
                if not seen:
                    senders[distinct] = w
                    distinct += 1
        if edges.back_in[s] == 0:
            break
        p -= edges.back_in[s]
    if distinct < senders.shape[0]:
        return none

    outs[0] = position
    went = 1
    scanned = 0
    p = position - edges.back_out[e] if edges.back_out[e] != 0 else np.int64(-1)
    while p >= tail:
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            break
        if scanned == bound:
            truncated = True
            break
        scanned += 1
        if edges.value[s] > 0 and edges.time[s] < now and edges.target[s] != u:
            outs[went] = p
            went += 1
        if edges.back_out[s] == 0:
            break
        p -= edges.back_out[s]

    forwarded = quick = by_this = np.int64(0)
    n = 0
    forwardings = 0
    head = came - 1
    for j in range(went - 1, -1, -1):
        o = slot(edges.pages, outs[j])
        need = edges.value[o]
        target = edges.target[o]
        before = n
        onward = target < 0 or edges.account_kind[target] == KIND_USER
        while need > 0 and head >= 0:
            i = slot(edges.pages, ins[0, head])
            if edges.time[i] >= edges.time[o]:
                break
            part = min(need, ins[1, head])
            need -= part
            ins[1, head] -= part
            if onward:
                stayed = edges.time[o] - edges.time[i]
                flows[n, 0] = ins[0, head]
                flows[n, 1] = outs[j]
                flows[n, 2] = part
                flows[n, 3] = stayed
                n += 1
                forwarded += part
                if stayed < dwell:
                    quick += part
                if j == 0:
                    by_this += part
            if ins[1, head] == 0:
                head -= 1
        forwardings += n > before
    if by_this == 0 or forwarded < passes_on * received or 2 * quick < forwarded:
        return none
    return came, went, n, forwardings, received, forwarded, truncated
