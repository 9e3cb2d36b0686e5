"""What a money pattern may look at, and how it shows what it found.

A money pattern is a pure function of the window and one position: at an edge it looks only at
edges strictly before it, and no further back than the window can vouch for whatever the order of
arrival. So it does not matter when an edge came in, only when it happened.
"""

from collections.abc import Iterable

from graph.evidence import Hop
from graph.transaction import Outcome, Transaction
from graph.window import TransactionWindow


def reach(window: TransactionWindow, within: int) -> int:
    """How far back from an edge a pattern of span `within` looks, ms.

    An edge may arrive up to the lateness after its time, and the window then still holds
    `horizon - lateness` before it for certain. Looking further would see more or less depending
    on the order of arrival.
    """
    config = window.config
    return min(within, config.horizon - config.lateness)


def witness(window: TransactionWindow, positions: Iterable[int]) -> tuple[Hop, ...]:
    """The live edges at these positions as hops, by time, then id."""
    hops = [window.hop(position) for position in positions]
    hops.sort(key=lambda hop: (hop.timestamp, hop.transaction_id))
    return tuple(hops)


def hop_of(tx: Transaction) -> Hop:
    """A transaction as a hop: for what looks at it and not at an edge of the window."""
    declined = tx.outcome is Outcome.DECLINED
    return Hop(tx.transaction_id, tx.payer, tx.payee, tx.value, tx.timestamp, declined)


def span_in_words(milliseconds: float) -> str:
    """A duration as an investigator says it.

    >>> span_in_words(90_000), span_in_words(3.5 * 3_600_000), span_in_words(450)
    ('2 min', '3.5 h', '0.5 s')
    >>> span_in_words(7 * 86_400_000)
    '7 days'
    """
    seconds = milliseconds / 1_000
    if seconds < 60:
        return f"{_short(seconds)} s"
    if seconds < 2 * 3_600:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3_600:
        return f"{_short(seconds / 3_600)} h"
    return f"{_short(seconds / 86_400)} days"


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
