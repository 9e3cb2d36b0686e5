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

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.evidence import Evidence, Pattern
from graph.heuristics.pass_through import Passage, PassThrough, hands, median_dwell
from graph.heuristics.witness import span_in_words, witness
from graph.thresholds import Thresholds, told_counts
from graph.transaction import Transaction
from graph.window import TransactionWindow
from graph.wording import counted


class Mules:
    """Finds pass-through accounts; see the module's docstring.

    `strength` is 0.4, plus up to 0.2 each for senders beyond the threshold (five more are full),
    for haste (an instant median is full) and for the share passed on beyond the threshold (all of
    it is full), and at most 0.95.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self.told = told_counts(1, thresholds.told_singly, thresholds.mule_scan)
        self._passing: Final = PassThrough(
            thresholds, thresholds.mule_passes_on, thresholds.mule_dwell, thresholds.mule_senders
        )

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this transaction makes its payer a mule, or a mule once more."""
        del tx
        return self.at(window, admission.position) if admission.status is Status.ACCEPTED else ()

    def at(self, window: TransactionWindow, position: int) -> Sequence[Evidence]:
        """Whether the edge at a live position makes its payer a mule."""
        passage = self._passing.at(window, position)
        if passage is None or passage.forwardings not in self.told:
            return ()
        return self._judge(window, passage)

    def _judge(self, window: TransactionWindow, passage: Passage) -> Sequence[Evidence]:
        """Evidence if enough of the senders are strangers."""
        limits, edges, flows = self.thresholds, window.edges, passage.flows
        came, went = window.rows_of(passage.ins), window.rows_of(passage.outs)
        strangers, known, cut = self._passing.strangers(window, came, went)
        if len(strangers) < limits.mule_senders:
            return ()
        dwell = median_dwell(flows)
        shown = _shown(flows, int(passage.outs[0]), limits.witness)
        hops = witness(window, shown)
        mule = window.accounts.entity(int(edges.source[went[0]]))
        named = strangers.intersection(edges.source[window.rows_of(np.array(list(shown)))].tolist())
        return [
            Evidence(
                pattern=Pattern.MULE,
                seen_at=int(edges.time[went[0]]),
                members=hands(mule, {window.accounts.entity(s) for s in named}, hops),
                hops=hops,
                strength=self._strength(len(strangers), dwell, passage.share),
                reason=(
                    f"{mule} passed on {100 * passage.share:.0f} % of what "
                    f"{counted(len(strangers), 'stranger')} sent within the day, "
                    f"half of it within {span_in_words(dwell)}."
                ),
                facts={
                    "senders": float(len(strangers)),
                    "acquaintances": float(known),
                    "received": float(passage.received),
                    "forwarded": float(passage.forwarded),
                    "median_dwell_minutes": dwell / 60_000,
                },
                retained=passage.share,
                truncated=passage.truncated or cut or len(shown) < len(np.unique(flows[:, :2])),
            )
        ]

    def _strength(self, strangers: int, dwell: int, share: float) -> float:
        limits = self.thresholds
        crowd = min((strangers - limits.mule_senders) / 5, 1)
        haste = 1 - dwell / limits.mule_dwell
        beyond = (share - limits.mule_passes_on) / max(1 - limits.mule_passes_on, 0.01)
        return min(0.4 + 0.2 * crowd + 0.2 * haste + 0.2 * beyond, 0.95)


def _shown(flows: NDArray[np.int64], position: int, most: int) -> set[int]:
    """Positions of the witness: the forwarding at hand, then the newest flows that fit."""
    shown = {position}
    for came, went in flows[: -most - 1 : -1, :2].tolist():
        if len(shown | {came, went}) > most:
            break
        shown |= {came, went}
    return shown
