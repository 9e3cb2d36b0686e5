"""Money that passes through an account, first in first out: mules, collectors, gather-scatter.

The queue, what is matched and what it costs is told in `graph.heuristics.mule`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.compiled import bind, kernel
from graph.evidence import Hop, Role
from graph.heuristics.acquaintance import Acquaintance
from graph.heuristics.witness import reach
from graph.kernels import KIND_MERCHANT, KIND_USER, slot
from graph.thresholds import Thresholds
from graph.transaction import Entity, EntityKind
from graph.window import TransactionWindow

ONWARD: Final = False
"""Forwarded is what goes to users or out of the graph."""

AND_GOODS: Final = True
"""Forwarded is what is spent at merchants as well."""


class Passage(NamedTuple):
    """What had passed through an account when an edge left it, as `flows_at` fills it.

    Attributes:
        ins: int64 [n], positions of what came in, newest first.
        outs: int64 [m], positions of what went out, the edge itself first.
        flows: int64 [k, 4]: came, went, value, dwell in ms; forwarded money only, oldest first.
        forwardings: Outs that forwarded.
        share: Of the value received, what was forwarded.
        received, forwarded: Minor units of the base currency.
        truncated: A bound was hit.
    """

    ins: NDArray[np.int64]
    outs: NDArray[np.int64]
    flows: NDArray[np.int64]
    forwardings: int
    share: float
    received: int
    forwarded: int
    truncated: bool


class PassThrough:
    """Looks at what passes through accounts within `mule_within`.

    Args:
        thresholds: Its `mule_within` and `mule_scan`, and what a search for strangers may cost.
        passes_on: Share of what came in that has to be forwarded.
        dwell: Half of the forwarded money has to stay less than this, ms.
        senders: Distinct users who have to have sent it.
        spends: Whether money spent at merchants is forwarded as well.
    """

    def __init__(
        self,
        thresholds: Thresholds,
        passes_on: float,
        dwell: int,
        senders: int,
        *,
        spends: bool = ONWARD,
    ) -> None:
        self._limits: Final = thresholds
        self._passes_on: Final = passes_on
        self._dwell: Final = dwell
        self._spends: Final = spends
        n = thresholds.mule_scan
        self._ins: NDArray[np.int64] = np.zeros((2, n), np.int64)
        self._outs: NDArray[np.int64] = np.zeros(n + 1, np.int64)
        self._senders: NDArray[np.int64] = np.zeros(senders, np.int64)
        self._flows: NDArray[np.int64] = np.zeros((2 * n + 1, 4), np.int64)
        self._acquaintance = Acquaintance()
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def at(self, window: TransactionWindow, position: int) -> Passage | None:
        """What passed through the payer of the edge at a live position; None where too little did.

        Its arrays are overwritten by the next call.
        """
        limits = self._limits
        arguments = (
            window.edges,
            window.tail,
            window.cutoff,
            position,
            reach(window, limits.mule_within),
            self._passes_on,
            self._dwell,
            self._spends,
            self._ins,
            self._outs,
            self._senders,
            self._flows,
        )
        if self._kernel is None:
            self._kernel = bind(flows_at, *arguments)
            self._acquaintance.load(window)
        came, went, flows, forwardings, received, forwarded, truncated = self._kernel(*arguments)
        if not flows:
            return None
        return Passage(
            self._ins[0, :came],
            self._outs[:went],
            self._flows[:flows],
            int(forwardings),
            int(forwarded) / int(received),
            int(received),
            int(forwarded),
            bool(truncated),
        )

    def strangers(
        self,
        window: TransactionWindow,
        came: NDArray[np.int64],
        went: NDArray[np.int64],
    ) -> tuple[set[int], int, bool]:
        """Users whose money came in and who are strangers to the account.

        Args:
            window: The window.
            came: Rows of edges into the account.
            went: Rows of edges out of it, the newest first.

        Returns:
            (account ids of the strangers, how many senders are acquaintances, whether the search
            for acquaintances was cut short). Whom the account paid is no sender.
        """
        edges = window.edges
        centre, now = int(edges.source[went[0]]), int(edges.time[went[0]])
        # Python's sets: of some dozen accounts they take a fifth of numpy's time.
        payers = set(edges.source[came].tolist()).difference(edges.target[went].tolist())
        senders = np.array(sorted(payer for payer in payers if payer >= 0), np.int64)
        senders = senders[edges.account_kind[senders] == KIND_USER]
        since = max(now - reach(window, self._limits.mule_within), window.cutoff)
        known, cut = self._acquaintance.of(
            window, centre, senders, since, self._limits.acquaintance_scan
        )
        strangers = set(senders[~known].tolist())
        return strangers, len(senders) - len(strangers), cut


def median_dwell(flows: NDArray[np.int64]) -> int:
    """How long the median unit of money stayed, ms (the lower median).

    >>> median_dwell(np.array([[0, 9, 60, 5], [1, 9, 50, 90]]))
    5
    """
    by_dwell = flows[np.argsort(flows[:, 3], kind="stable")]
    passed = np.cumsum(by_dwell[:, 2])
    return int(by_dwell[np.searchsorted(2 * passed, passed[-1]), 3])


def hands(
    hub: Entity, strangers: set[Entity], hops: Sequence[Hop]
) -> tuple[tuple[Entity, Role], ...]:
    """Through whose hands money went: the hub, the strangers in the witness, then who got it."""
    members: dict[Entity, Role] = {hub: Role.MULE}
    for hop in hops:
        if hop.source in strangers:
            members.setdefault(hop.source, Role.SENDER)
    for hop in hops:
        if hop.source == hub and hop.target is not None and hop.target.kind is EntityKind.USER:
            members.setdefault(hop.target, Role.RECEIVER)
    return tuple(members.items())


@kernel
def flows_at(  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912, PLR0915  # one merge
    edges, tail, cutoff, position, within, passes_on, dwell, spends, ins, outs, senders, flows
):
    """Match what came in against what went out up to the edge at `position`, first in first out.

    Money spent at merchants leaves the queue; it is forwarded only if `spends`.

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
    if edges.account_kind[u] != KIND_USER:
        return none
    if v >= 0 and edges.account_kind[v] == KIND_MERCHANT and not spends:
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
        onward = spends or target < 0 or edges.account_kind[target] == KIND_USER
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
