"""One sum over many hands and together again: scatter-gather.

Behaviour
    To hide where money goes, one account spreads it over several intermediaries who pass it on to
    one beneficiary.

Definition
    At edge e = (i → w): over the edges between users before e in the span `relay_within` (and what
    the window can vouch for) plus e, a user u ≠ w has paid at least `relay_intermediaries` distinct
    users j, i among them, each of whom then paid w between `cycle_ratio_least` and
    `cycle_ratio_most` of one payment of u. It is told only where e adds i to them, of several u for
    the one with the most intermediaries, the newest of equals; and only if at least
    `relay_fresh_share` of the legs are between accounts that had not dealt before.

Method and cost
    Walks the edges into i, then those into w and into each of their sources: O(d²) for d edges into
    an account in the span, in any case at most `relay_scan` edges (then `truncated`), and
    candidates for u are at most 16. O(1) where nothing came in to i, O(d) where nobody else paid w.

Misses
    Intermediaries who add or keep more than the ratio allows, or who take longer; two layers of
    them (see `layers`); legs through merchants or cash; an edge that arrives out of order counts
    with the next one that adds an intermediary.

False positives
    An employer whose staff pays one landlord; a club whose members pay one bill. They know each
    other: the legs are not fresh.

Source
    Altman et al., "Realistic Synthetic Financial Transactions for Anti-Money Laundering Models",
    NeurIPS 2023 (the typology); FATF on layering.

>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, scattered = TransactionWindow(), ScatterGather(Thresholds())
>>> legs = [("u", f"i{k}", 100) for k in range(3)] + [(f"i{k}", "w", 95) for k in range(3)]
>>> for n, (payer, payee, amount) in enumerate(legs):
...     tx = Transaction(f"t{n}", 60_000 * (n + 1), TransactionType.TRANSFER,
...                      Money(amount, "EUR"), amount, payer, counterparty_id=payee)
...     found = scattered.detect(window, tx, window.add(tx))
>>> found[0].reason
'Money went from user:u through 3 intermediaries to user:w within 5 min; 6 of 6 legs were new.'
"""

from collections.abc import Callable, Sequence
from math import log2
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics.acquaintance import acquainted
from graph.heuristics.witness import reach, span_in_words, witness
from graph.kernels import KIND_USER, slot
from graph.thresholds import Thresholds
from graph.transaction import Transaction
from graph.window import TransactionWindow
from graph.wording import were

SOURCES: Final = 16
"""Candidates for the one who scattered: those who paid the intermediary at hand, newest first."""
HANDS: Final = 64
"""Most intermediaries told apart."""


class ScatterGather:
    """Finds money that is spread and gathered again; see the module's docstring.

    `strength` is 0.5, plus 0.1 for each doubling of the intermediaries beyond the threshold (at
    most 0.2), plus 0.2 times the share of fresh legs.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self._sources: NDArray[np.int64] = np.zeros((3, SOURCES), np.int64)
        self._hands: NDArray[np.int64] = np.zeros((2, HANDS), np.int64)
        self._legs: NDArray[np.int64] = np.zeros((2, HANDS), np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Scatter-gather that this transaction completes or widens."""
        del tx
        return self.at(window, admission.position) if admission.status is Status.ACCEPTED else ()

    def at(self, window: TransactionWindow, position: int) -> Sequence[Evidence]:
        """Scatter-gather that the edge at a live position completes or widens."""
        count, truncated = self._search(window, position)
        return self._judge(window, int(count), truncated=bool(truncated)) if count else ()

    def cut_short(self, window: TransactionWindow, position: int) -> bool:
        """Whether the search at a live position found nothing because its budget ran out."""
        count, truncated = self._search(window, position)
        return not count and bool(truncated)

    def _search(self, window: TransactionWindow, position: int) -> tuple[int, bool]:
        limits = self.thresholds
        arguments = (
            window.edges,
            window.tail,
            window.cutoff,
            position,
            reach(window, limits.relay_within),
            limits.cycle_ratio_least,
            limits.cycle_ratio_most,
            limits.relay_intermediaries,
            limits.relay_scan,
            self._sources,
            self._hands,
            self._legs,
        )
        self._kernel = self._kernel or bind(scattered_at, *arguments)
        result: tuple[int, bool] = self._kernel(*arguments)
        return result

    def _judge(self, window: TransactionWindow, count: int, *, truncated: bool) -> list[Evidence]:
        limits = self.thresholds
        came, went = self._legs[0, :count], self._legs[1, :count]
        shown = limits.witness // 2
        hops = witness(window, [*came[:shown].tolist(), *went[:shown].tolist()])
        before = hops[0].timestamp - window.config.lateness
        legs = np.concatenate([came, went])
        fresh = len(legs) - acquainted(window, legs, before)
        if fresh < limits.relay_fresh_share * 2 * count:
            return []
        first, last = window.hop(int(came[0])), window.hop(int(went[0]))
        source, sink = first.source, last.target
        assert source is not None  # noqa: S101 - legs are between users
        assert sink is not None  # noqa: S101
        between = [hop.source for hop in hops if hop.target == sink and hop.source is not None]
        span = hops[-1].timestamp - hops[0].timestamp
        return [
            Evidence(
                pattern=Pattern.SCATTER_GATHER,
                seen_at=hops[-1].timestamp,
                members=(
                    (source, Role.CONTROLLER),
                    *((hand, Role.MULE) for hand in dict.fromkeys(between)),
                    (sink, Role.CASH_OUT),
                ),
                hops=hops,
                strength=0.5
                + min(0.1 * log2(count / limits.relay_intermediaries), 0.2)
                + 0.2 * fresh / (2 * count),
                reason=(
                    f"Money went from {source} through {count} intermediaries to {sink} within "
                    f"{span_in_words(span)}; {fresh} of {2 * count} legs {were(fresh)} new."
                ),
                facts={
                    "intermediaries": float(count),
                    "fresh_legs": float(fresh),
                    "minutes": span / 60_000,
                },
                truncated=truncated or shown < count,
            )
        ]


@kernel
def scattered_at(  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912, PLR0915  # walks
    edges, tail, cutoff, position, within, least, most, hands_needed, budget, sources, hands, legs
):
    """Search for a user whose money reaches the target of the edge at `position` over many hands.

    Fills `legs` (int64[2, h]): the newest edges into and out of each intermediary, the one at hand
    first. `sources` (int64[3, k]) and `hands` (int64[2, h]) are scratch: candidates, how many hands
    each has, the edge to the hand at hand; intermediaries and the candidates each was paid by, as
    bits. Mutates these three only.

    Returns:
        (intermediaries, 0 if fewer than `hands_needed` or the edge adds none; whether a bound was
        hit).
    """
    e = slot(edges.pages, position)
    i, w = edges.source[e], edges.target[e]
    if i < 0 or w < 0 or i == w or edges.value[e] <= 0 or edges.back_pred[e] == 0:
        return 0, False
    if edges.account_kind[i] != KIND_USER or edges.account_kind[w] != KIND_USER:
        return 0, False
    if edges.back_in[e] == 0:
        return 0, False
    since = max(edges.time[e] - within, cutoff)
    truncated = False
    scanned = 0

    # Who paid the one at hand about this much?
    candidates = 0
    p = position - edges.back_pred[e]
    while p >= tail:
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            break
        if scanned == budget or candidates == sources.shape[1]:
            truncated = True
            break
        scanned += 1
        u = edges.source[s]
        if (
            u >= 0
            and u not in (w, i)
            and edges.value[s] > 0
            and edges.time[s] < edges.time[e]
            and least * edges.value[s] <= edges.value[e] <= most * edges.value[s]
            and edges.account_kind[u] == KIND_USER
        ):
            known = False
            for k in range(candidates):
                known |= sources[0, k] == u
            if not known:
                sources[0, candidates] = u
                sources[1, candidates] = 1
                sources[2, candidates] = p
                candidates += 1
        if edges.back_in[s] == 0:
            break
        p -= edges.back_in[s]
    if candidates == 0:
        return 0, truncated

    # Which others who paid the target were paid by one of them before?
    met = 0
    already = np.int64(0)
    p = position - edges.back_in[e]
    while p >= tail:
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            break
        j = edges.source[s]
        if (
            j >= 0
            and j != w
            and edges.value[s] > 0
            and edges.time[s] < edges.time[e]
            and edges.back_pred[s] != 0
            and edges.account_kind[j] == KIND_USER
        ):
            known_at = -1
            for k in range(met):
                if hands[0, k] == j:
                    known_at = k
            if known_at < 0 and met < hands.shape[1]:
                known_at = met
                hands[0, met] = j
                hands[1, met] = 0
                met += 1
            if known_at < 0:
                truncated = True
            else:
                q = p - edges.back_pred[s]
                while q >= tail:
                    r = slot(edges.pages, q)
                    if edges.time[r] < since:
                        break
                    if scanned == budget:
                        truncated = True
                        break
                    scanned += 1
                    if (
                        edges.value[r] > 0
                        and edges.source[r] != j
                        and edges.time[r] < edges.time[s]
                        and least * edges.value[r] <= edges.value[s] <= most * edges.value[r]
                    ):
                        for k in range(candidates):
                            if sources[0, k] == edges.source[r]:
                                hands[1, known_at] |= np.int64(1) << k
                    if edges.back_in[r] == 0:
                        break
                    q -= edges.back_in[r]
        if scanned == budget:
            truncated = True
            break
        scanned += 1
        if edges.back_in[s] == 0:
            break
        p -= edges.back_in[s]
    for k in range(met):
        if hands[0, k] == i:
            already = hands[1, k]
            continue
        for c in range(candidates):
            sources[1, c] += (hands[1, k] >> c) & 1
    best = -1
    for c in range(candidates):
        if (already >> c) & 1 or sources[1, c] < hands_needed:
            continue
        if best < 0 or sources[1, c] > sources[1, best]:
            best = c
    if best < 0:
        return 0, truncated

    # The legs of the one with the most: the newest of each intermediary.
    u = sources[0, best]
    legs[0, 0], legs[1, 0] = sources[2, best], position
    count = 1
    p = position - edges.back_in[e]
    while p >= tail and count < min(sources[1, best], legs.shape[1]):
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            break
        j = edges.source[s]
        wanted = False
        for k in range(met):
            if hands[0, k] == j and j != i:
                wanted = (hands[1, k] >> best) & 1 == 1
        if wanted and edges.value[s] > 0 and edges.time[s] < edges.time[e]:
            for k in range(1, count):
                if edges.source[slot(edges.pages, legs[1, k])] == j:
                    wanted = False
            q = p - edges.back_pred[s] if wanted and edges.back_pred[s] != 0 else np.int64(-1)
            for _ in range(budget):
                if q < tail:
                    break
                r = slot(edges.pages, q)
                if edges.time[r] < since:
                    break
                if (
                    edges.source[r] == u
                    and edges.value[r] > 0
                    and edges.time[r] < edges.time[s]
                    and least * edges.value[r] <= edges.value[s] <= most * edges.value[r]
                ):
                    legs[0, count], legs[1, count] = q, p
                    count += 1
                    break
                if edges.back_in[r] == 0:
                    break
                q -= edges.back_in[r]
        if edges.back_in[s] == 0:
            break
        p -= edges.back_in[s]
    return count, truncated
