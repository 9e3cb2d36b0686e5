"""Dense blocks of payers and payees: bipartite layers and stacks of them.

Behaviour
    A laundering organisation moves money from a group of accounts to another group so that every
    source pays many of the targets (bipartite), and those the next group (stack). Each payment is
    small, no account stands out, the block does.

Definition
    At an edge e = (s → t) between users that is the first from s to t in the span, over the edges
    between users before e in the span `layer_within` (and what the window can vouch for) plus e:
    let T be the payees of s and S the payers of t, nobody in both (whoever is in both is left out),
    at most `LAYER_SIDE` each, the newest. The block of e is what remains of S x T after peeling:
    while fewer than `layer_density` of the pairs of a payer and a payee have dealt, or somebody has
    dealt with less than half of the other side, whoever has the smallest share of its pairs leaves,
    but s and t.

    - bipartite: at least `layer_side` on each side, and `layer_accounts` on both together;
    - stack: at least two users who are in neither side each paid at least two, and
      `layer_density`, of S before S paid on; together at least `stack_accounts` accounts.

    A block is told as it grows, pair by pair up to `told_singly`, then each time it grew by a
    quarter (`told_counts`), and only if at least `layer_fresh_share` of its pairs had not dealt
    before it.

Method and cost
    Walks the chain of s, of t, of every payer in S and, for a stack, the edges into each: O(d²) for
    d edges of an account in the span, at most `layer_scan` edges (then `truncated`); rows are bits
    of a word, peeling is O((S + T)²) words. O(d) where s paid or t was paid by a single user.

Misses
    Sparse blocks; blocks built over days; layers through merchants.

False positives
    Two families or flat-shares that settle among each other (nobody may be on both sides); staff of
    two employers who pay the same landlords. They are acquaintances. Two who pay the same three
    sellers on one day: a narrow block says less.

Source
    Charikar, "Greedy approximation algorithms for finding dense components in a graph", APPROX
    2000 (peeling); Altman et al., "Realistic Synthetic Financial Transactions for Anti-Money
    Laundering Models", NeurIPS 2023 (both typologies).

>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, layers = TransactionWindow(), Layers(Thresholds())
>>> for n, (payer, payee) in enumerate((s, t) for s in "ab" for t in "xyz"):
...     tx = Transaction(f"t{n}", 60_000 * (n + 1), TransactionType.TRANSFER,
...                      Money(100, "EUR"), 100, payer, counterparty_id=payee)
...     found = layers.detect(window, tx, window.add(tx))
>>> found[0].reason
'2 accounts paid 3 others, 6 of 6 pairs, within 5 min; 6 of the pairs were new.'
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.acquaintance import acquainted
from graph.heuristics.layer_search import block_at
from graph.heuristics.witness import reach, span_in_words, witness
from graph.thresholds import LAYER_SIDE, Thresholds, told_counts
from graph.transaction import Entity, Transaction
from graph.window import TransactionWindow
from graph.wording import were

_PAIRS: Final = LAYER_SIDE * LAYER_SIDE
_WIDE: Final = 3
"""On each side, where few acquaintances pay each other by chance."""


class Layers:
    """Finds bipartite blocks and stacks; see the module's docstring.

    `strength` is 0.4, or 0.5 where three or more stand on each side, plus 0.01 a pair beyond the
    smallest block (at most 0.15), plus 0.2 times the share of fresh pairs; 0.1 more for a stack.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self.told = told_counts(4, thresholds.told_singly, _PAIRS)
        self._sides: NDArray[np.int64] = np.zeros((3, LAYER_SIDE), np.int64)
        self._bits: NDArray[np.int64] = np.zeros((3, LAYER_SIDE), np.int64)
        self._pairs: NDArray[np.int64] = np.zeros((2, _PAIRS), np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Blocks that this transaction completes or widens."""
        del tx
        return self.at(window, admission.position) if admission.status is Status.ACCEPTED else ()

    def at(self, window: TransactionWindow, position: int) -> Sequence[Evidence]:
        """Blocks that the edge at a live position completes or widens."""
        limits = self.thresholds
        arguments = (
            window.edges,
            window.tail,
            window.cutoff,
            position,
            reach(window, limits.layer_within),
            limits.layer_side,
            limits.layer_density,
            limits.layer_accounts,
            limits.stack_accounts,
            limits.layer_scan,
            self._sides,
            self._bits,
            self._pairs,
        )
        self._kernel = self._kernel or bind(block_at, *arguments)
        payers, payees, pairs, above, funded, truncated = (int(n) for n in self._kernel(*arguments))
        if not pairs or pairs not in self.told:
            return ()
        found: list[Evidence] = []
        layer, feeding = self._pairs[0, :pairs], self._pairs[1, :funded]
        base = 0.5 if min(payers, payees) >= _WIDE else 0.4
        if min(payers, payees) >= limits.layer_side and payers + payees >= limits.layer_accounts:
            smallest = limits.layer_density * limits.layer_side**2
            reason = f"{payers} accounts paid {payees} others, {pairs} of {payers * payees} pairs"
            facts = {"payers": float(payers), "payees": float(payees), "pairs": float(pairs)}
            found += self._judge(
                window,
                Pattern.BIPARTITE,
                layer,
                (reason, facts, smallest, base),
                cut=bool(truncated),
            )
        if above:
            whole = np.concatenate([layer, feeding])
            reason = f"{above} accounts paid {payers} others who paid {payees} others"
            facts = {"sources": float(above), "payers": float(payers), "payees": float(payees)}
            found += self._judge(
                window,
                Pattern.STACK,
                whole,
                (reason, facts, 8.0, base + 0.1),
                cut=bool(truncated),
            )
        return found

    def _judge(
        self,
        window: TransactionWindow,
        pattern: Pattern,
        pairs: NDArray[np.int64],
        told: tuple[str, dict[str, float], float, float],
        *,
        cut: bool,
    ) -> list[Evidence]:
        """Evidence if enough pairs are fresh; `told`: sentence, facts, fewest pairs, base."""
        limits = self.thresholds
        reason, facts, smallest, base = told
        # The newest of the layer come first; of a stack half is shown of each layer.
        shown = pairs[: limits.witness]
        if len(pairs) > limits.witness and pattern is Pattern.STACK:
            half = limits.witness // 2
            shown = np.concatenate([pairs[:half], pairs[-half:]])
        hops = witness(window, shown.tolist())
        before = hops[0].timestamp - window.config.lateness
        fresh = len(hops) - acquainted(window, shown, before)
        if fresh < limits.layer_fresh_share * len(hops):
            return []
        span = hops[-1].timestamp - hops[0].timestamp
        return [
            Evidence(
                pattern=pattern,
                seen_at=hops[-1].timestamp,
                members=_members(hops),
                hops=hops,
                strength=base
                + min(0.01 * max(len(pairs) - smallest, 0), 0.15)
                + 0.2 * fresh / len(hops),
                reason=(
                    f"{reason}, within {span_in_words(span)}; "
                    f"{fresh} of the pairs {'shown ' if len(hops) < len(pairs) else ''}"
                    f"{were(fresh)} new."
                ),
                facts=facts | {"fresh_pairs": float(fresh), "minutes": span / 60_000},
                truncated=cut or len(hops) < len(pairs),
            )
        ]


def _members(hops: tuple[Hop, ...]) -> tuple[tuple[Entity, Role], ...]:
    """Who only pays first, then who does both, then who is only paid; the earliest first."""
    paying = dict.fromkeys(hop.source for hop in hops if hop.source is not None)
    paid = dict.fromkeys(hop.target for hop in hops if hop.target is not None)
    return (
        *((entity, Role.SENDER) for entity in paying if entity not in paid),
        *((entity, Role.MULE) for entity in paying if entity in paid),
        *((entity, Role.RECEIVER) for entity in paid if entity not in paying),
    )
