"""What many sent, spread again: gather-scatter.

Behaviour
    One account collects from several and spreads what it got over several others: a mule with more
    than one principal, or a till through which a whole gang is paid.

Definition
    At edge e out of c: c passed on what came in as a mule does (`graph.heuristics.mule`: FIFO, at
    least `mule_senders` senders), but only `relay_passes_on` of it, from at least `relay_strangers`
    senders who are strangers, at least half of it within `relay_within`, to at least
    `relay_receivers` distinct users. It is told where e adds one.

Method and cost
    The mule's merge of two chains: O(n + m) for n edges in and m out in the span, each at most
    `mule_scan` (then `truncated`). O(1) where nothing came in, O(n) where too few sent.

Misses
    What a mule misses, but for haste: money that is spent in shops, one big victim, payers who
    dealt with the account before.

False positives
    Agents, payment processors, treasurers who pay several bills. Their payers are acquaintances
    after a while.

Source
    Altman et al., "Realistic Synthetic Financial Transactions for Anti-Money Laundering Models",
    NeurIPS 2023 (the typology).

>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, gathered = TransactionWindow(), GatherScatter(Thresholds())
>>> flows = [(f"v{n}", "c") for n in range(3)] + [("c", f"r{n}") for n in range(3)]
>>> for n, (payer, payee) in enumerate(flows):
...     tx = Transaction(f"t{n}", 3_600_000 * (n + 1), TransactionType.TRANSFER,
...                      Money(100, "EUR"), 100, payer, counterparty_id=payee)
...     found = gathered.detect(window, tx, window.add(tx))
>>> found[0].reason
'user:c spread 100 % of what 3 strangers sent over 3 accounts, half of it within 3 h.'
"""

from collections.abc import Sequence
from typing import Final

from graph.admission import Admission, Status
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics.pass_through import Passage, PassThrough, median_dwell
from graph.heuristics.witness import span_in_words, witness
from graph.thresholds import Thresholds
from graph.transaction import Transaction
from graph.window import TransactionWindow
from graph.wording import counted


class GatherScatter:
    """Finds money that is collected and spread; see the module's docstring.

    `strength` is 0.5 where as much was passed on as by a mule, down to 0.3 the less it was, plus up
    to 0.15 each for receivers beyond the threshold (five more are full), for strangers beyond the
    senders that it takes, and for haste (an instant median is full).
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self._passing: Final = PassThrough(
            thresholds,
            thresholds.relay_passes_on,
            thresholds.relay_within,
            thresholds.mule_senders,
        )

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this transaction spreads further what was collected."""
        del tx
        return self.at(window, admission.position) if admission.status is Status.ACCEPTED else ()

    def at(self, window: TransactionWindow, position: int) -> Sequence[Evidence]:
        """Whether the edge at a live position spreads further what was collected."""
        passage = self._passing.at(window, position)
        return () if passage is None else self._judge(window, passage)

    def _judge(self, window: TransactionWindow, passage: Passage) -> Sequence[Evidence]:
        """Evidence if the newest forwarding adds a receiver and enough senders are strangers."""
        limits, edges, flows = self.thresholds, window.edges, passage.flows
        went = window.rows_of(flows[::-1, 1])
        # Python's sets: of some dozen accounts they take a fifth of numpy's time.
        receivers = edges.target[went].tolist()
        distinct = {receiver for receiver in receivers if receiver >= 0}
        earlier = edges.target[went[went != went[0]]].tolist()
        newest = receivers[0]
        if newest < 0 or newest in earlier or len(distinct) < limits.relay_receivers:
            return ()
        came = window.rows_of(flows[:, 0])
        senders, _, cut = self._passing.strangers(window, came, went)
        strangers = len(senders)
        if strangers < limits.relay_strangers:
            return ()
        dwell = median_dwell(flows)
        positions = dict.fromkeys(flows[::-1, :2].ravel().tolist())
        hops = witness(window, list(positions)[: limits.witness])
        hub = window.accounts.entity(int(edges.source[went[0]]))
        haste = 1 - dwell / limits.relay_within
        return [
            Evidence(
                pattern=Pattern.GATHER_SCATTER,
                seen_at=int(edges.time[went[0]]),
                members=(
                    (hub, Role.MULE),
                    *((h.source, Role.SENDER) for h in hops if h.target == hub and h.source),
                    *((h.target, Role.RECEIVER) for h in hops if h.source == hub and h.target),
                ),
                hops=hops,
                strength=(0.3 + 0.2 * min(passage.share / limits.mule_passes_on, 1))
                + 0.15 * min((len(distinct) - limits.relay_receivers) / 5, 1)
                + 0.15 * min(max(strangers - limits.mule_senders, 0) / 5, 1)
                + 0.15 * haste,
                reason=(
                    f"{hub} spread {100 * passage.share:.0f} % of what "
                    f"{counted(strangers, 'stranger')} sent over {len(distinct)} accounts, "
                    f"half of it within {span_in_words(dwell)}."
                ),
                facts={
                    "senders": float(strangers),
                    "receivers": float(len(distinct)),
                    "median_dwell_minutes": dwell / 60_000,
                },
                retained=passage.share,
                truncated=passage.truncated or cut or len(positions) > limits.witness,
            )
        ]
