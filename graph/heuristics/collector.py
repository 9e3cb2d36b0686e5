"""Crowds whose money is taken away again: the collector behind a fan-in.

Behaviour
    The victims of one tale (a flat that does not exist, a shop that never ships) pay one account
    within a day or two; when enough has come, it is emptied: onward, in cash, or for goods that can
    be sold again.

Definition
    The money of an account is a queue, as for mules (`graph.heuristics.mule`), but what is spent at
    merchants is forwarded as well: goods are another way to take money out. At an edge e out of
    user u, over the edges before e in the span `mule_within` (and what the window can vouch for)
    plus e itself, u is a collector if

    - forwarded money is at least `fan_passes_on` of all that came in;
    - at least `fan_counterparties` distinct users sent money who are strangers: u paid them nothing
      in the span, and the link log knows of no dealing with them before it; and these are at least
      `fan_fresh_share` of its senders;
    - e itself forwards what came in. So a collector is told once a forwarding, up to `told_singly`
      in the span, and then each time they grew by a quarter (`told_counts`).

    It is the fan-in of `graph.heuristics.fan`, told again: that one speaks while the crowd pays.

Method and cost
    As for mules: O(n + m) for n edges in and m out in the span, each at most `mule_scan` (then
    `truncated`, judged on the newest). O(n) where fewer than `fan_counterparties` sent.

Misses
    A collector who waits for longer than a day; crowds slower than that.

False positives
    Whoever collects for a trip and books it the same day; a seller of used things. Their payers are
    known or few. A landlord's or a club's payers are acquaintances after a month.

Source
    As for fans and mules; Altman et al., NeurIPS 2023, place what is gathered before what follows.

>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, collectors = TransactionWindow(), Collectors(Thresholds())
>>> flows = [(f"victim{n}", "collector", 100) for n in range(6)] + [("collector", None, 450)]
>>> for n, (payer, payee, amount) in enumerate(flows):
...     kind = TransactionType.TRANSFER if payee else TransactionType.WITHDRAWAL
...     tx = Transaction(f"t{n}", 3_600_000 * (n + 1), kind,
...                      Money(amount, "EUR"), amount, payer, counterparty_id=payee)
...     found = collectors.detect(window, tx, window.add(tx))
>>> found[0].reason
'user:collector took away 75 % of what 6 strangers paid within the day, half of it within 4 h.'
"""

from collections.abc import Sequence
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.evidence import Evidence, Pattern
from graph.heuristics.pass_through import AND_GOODS, Passage, PassThrough, hands, median_dwell
from graph.heuristics.witness import span_in_words, witness
from graph.kernels import KIND_MERCHANT
from graph.thresholds import Thresholds, told_counts
from graph.transaction import Transaction
from graph.window import TransactionWindow
from graph.wording import counted


class Collectors:
    """Finds collectors that are emptied; see the module's docstring.

    `strength` is 0.4, plus up to 0.2 each for strangers beyond the threshold (five more are full)
    and for the share passed on beyond the threshold (all of it is full), plus up to 0.1 for haste
    (an instant median is full): 0.4 to 0.9.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self.told = told_counts(1, thresholds.told_singly, thresholds.mule_scan)
        self._passing: Final = PassThrough(
            thresholds,
            thresholds.fan_passes_on,
            thresholds.mule_within,
            thresholds.fan_counterparties,
            spends=AND_GOODS,
        )

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this transaction takes away what a crowd paid."""
        del tx
        return self.at(window, admission.position) if admission.status is Status.ACCEPTED else ()

    def at(self, window: TransactionWindow, position: int) -> Sequence[Evidence]:
        """Whether the edge at a live position takes away what a crowd paid."""
        passage = self._passing.at(window, position)
        if passage is None or passage.forwardings not in self.told:
            return ()
        return self._judge(window, passage)

    def _judge(self, window: TransactionWindow, passage: Passage) -> Sequence[Evidence]:
        """Evidence if enough of the senders are strangers."""
        limits, edges, flows = self.thresholds, window.edges, passage.flows
        came, went = window.rows_of(passage.ins), window.rows_of(passage.outs)
        strangers, known, cut = self._passing.strangers(window, came, went)
        fresh = len(strangers)
        if fresh < max(limits.fan_counterparties, limits.fan_fresh_share * (fresh + known)):
            return ()
        dwell = median_dwell(flows)
        shown = _shown(passage, edges.source[came], strangers, limits.witness)
        hops = witness(window, shown)
        collector = window.accounts.entity(int(edges.source[went[0]]))
        targets = edges.target[window.rows_of(flows[:, 1])]
        bought = (targets >= 0) & (edges.account_kind[targets] == KIND_MERCHANT)
        return [
            Evidence(
                pattern=Pattern.FAN_IN,
                seen_at=int(edges.time[went[0]]),
                members=hands(collector, {window.accounts.entity(s) for s in strangers}, hops),
                hops=hops,
                strength=self._strength(fresh, dwell, passage.share),
                reason=(
                    f"{collector} took away {100 * passage.share:.0f} % of what "
                    f"{counted(fresh, 'stranger')} paid within the day, "
                    f"half of it within {span_in_words(dwell)}."
                ),
                facts={
                    "counterparties": float(fresh + known),
                    "strangers": float(fresh),
                    "received": float(passage.received),
                    "forwarded": float(passage.forwarded),
                    "as_cash": float(flows[targets < 0, 2].sum()),
                    "as_goods": float(flows[bought, 2].sum()),
                    "median_dwell_minutes": dwell / 60_000,
                },
                retained=passage.share,
                truncated=passage.truncated or cut or len(hops) < fresh + passage.forwardings,
            )
        ]

    def _strength(self, strangers: int, dwell: int, share: float) -> float:
        limits = self.thresholds
        crowd = min((strangers - limits.fan_counterparties) / 5, 1)
        beyond = (share - limits.fan_passes_on) / max(1 - limits.fan_passes_on, 0.01)
        return 0.4 + 0.2 * crowd + 0.2 * beyond + 0.1 * (1 - dwell / limits.mule_within)


def _shown(
    passage: Passage, senders: NDArray[np.int32], strangers: set[int], most: int
) -> list[int]:
    """Positions of the witness: what took the money away, then the newest payment of each stranger.

    Forwardings are shown newest first, and at most as many as leave half of the room.
    """
    away = islice(dict.fromkeys(passage.flows[::-1, 1].tolist()), most // 2)
    newest: dict[int, int] = {}
    for sender, position in zip(senders.tolist(), passage.ins.tolist(), strict=True):
        if sender in strangers:
            newest.setdefault(sender, position)
    return [*away, *newest.values()][:most]
