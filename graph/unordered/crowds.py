"""Crowds around one account over a whole history: fan-in and fan-out without order.

Definition
    A payment is irregular if its payer and payee dealt at most `fan_dealings` times in the whole
    history and it does not fall on the payer's rhythm (`Ledger.habitual`). A user has a fan-in if
    irregular payments reached it from at least `fan_counterparties` distinct users, a fan-out if
    it made them to as many.

    Why rhythm: an account that pays somebody else every seventh day has a hundred one-off payees,
    and so has the fraudster; only the fraudster's do not come every seventh day.

Cost
    O(N log N) for N payments.

Misses
    A fan paid on a standing order; one whose members deal with the hub anyway.

False positives
    People whose payments have no rhythm at all and who deal with many: every fair, every flat hunt.

Source
    Suzumura and Kanezashi, "AMLSim", 2018 (the typologies, planted over months at day resolution).

>>> from graph.transaction import DAY, Money, Transaction, TransactionType
>>> from graph.unordered.limits import UnorderedLimits
>>> history = [Transaction(f"t{n}", day * DAY, TransactionType.TRANSFER, Money(9, "EUR"), 9,
...                        f"payer{n}", counterparty_id="hub") for n, day in enumerate((3, 90, 41))]
>>> ledger, limits = Ledger.of(history), UnorderedLimits()
>>> fans(ledger, irregular(ledger, limits), limits)[0].reason
'3 accounts paid user:hub outside every habit within 87 days; times are days, in no order.'
"""

from collections.abc import Sequence
from math import log2

import numpy as np
from numpy.typing import NDArray

from graph.evidence import Evidence, Pattern, Role
from graph.transaction import DAY
from graph.unordered.ledger import Ledger
from graph.unordered.limits import UnorderedLimits


def irregular(ledger: Ledger, limits: UnorderedLimits) -> NDArray[np.intp]:
    """Rows of the irregular payments."""
    return np.flatnonzero(
        (ledger.dealings() <= limits.fan_dealings)
        & ~ledger.habitual(limits.rhythm_payments, limits.rhythm_share)
    )


def fans(ledger: Ledger, rows: NDArray[np.intp], limits: UnorderedLimits) -> Sequence[Evidence]:
    """Fan-ins, then fan-outs, over the irregular rows, each in order of account.

    Strength is 0.5, plus 0.1 for each doubling of the crowd beyond the threshold, at most 0.8.
    """
    return [
        *_crowds(ledger, rows, limits, incoming=True),
        *_crowds(ledger, rows, limits, incoming=False),
    ]


def _crowds(
    ledger: Ledger, rows: NDArray[np.intp], limits: UnorderedLimits, *, incoming: bool
) -> list[Evidence]:
    centre, other = (ledger.payee, ledger.payer) if incoming else (ledger.payer, ledger.payee)
    rows = rows[np.lexsort((ledger.time[rows], other[rows], centre[rows]))]
    # The first payment of each pair stands for it.
    fresh = np.ones(len(rows), np.bool_)
    fresh[1:] = (np.diff(centre[rows]) != 0) | (np.diff(other[rows]) != 0)
    rows = rows[fresh]
    bounds = np.flatnonzero(np.diff(centre[rows], prepend=-1, append=-1))
    return [
        _evidence(ledger, rows[start:stop], limits, incoming=incoming)
        for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        if stop - start >= limits.fan_counterparties
    ]


def _evidence(
    ledger: Ledger, rows: NDArray[np.intp], limits: UnorderedLimits, *, incoming: bool
) -> Evidence:
    rows = rows[np.argsort(ledger.time[rows], kind="stable")]
    shown = rows[-limits.witness :].tolist()
    hops = tuple(ledger.hop(row) for row in shown)
    first, last = int(ledger.time[rows[0]]), int(ledger.time[rows[-1]])
    hub = ledger.user(int((ledger.payee if incoming else ledger.payer)[rows[0]]))
    role, part = (Role.RECEIVER, Role.SENDER) if incoming else (Role.SENDER, Role.RECEIVER)
    ends = [hop.source if incoming else hop.target for hop in hops]
    crowd = f"{len(rows)} accounts paid {hub}" if incoming else f"{hub} paid {len(rows)} accounts"
    return Evidence(
        pattern=Pattern.FAN_IN if incoming else Pattern.FAN_OUT,
        seen_at=last,
        members=((hub, role), *((end, part) for end in ends if end is not None)),
        hops=hops,
        strength=min(0.5 + 0.1 * log2(len(rows) / limits.fan_counterparties), 0.8),
        reason=(
            f"{crowd} outside every habit within {(last - first) // DAY} days; "
            "times are days, in no order."
        ),
        facts={"counterparties": float(len(rows)), "days": (last - first) / DAY, "ordered": 0.0},
        truncated=len(shown) < len(rows),
    )
