"""A transaction laid out as int64, for compiled code: what stands where in a row.

The fast path lays whole batches out; whoever judges one transaction alone lays out that one.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission
from graph.transaction import Outcome, Transaction, TransactionType

# First what the transaction says, then what `graph.fast_kernel` adds: who may speak, the ids, the
# links as (count, first, last) of device, IP, card and other party before it, and the watermark
# once it was taken in.
(
    TIME, VALUE, INWARD, CASH, OPENED, HASH, LENGTH, ASIDE, USER, OTHER, DEVICE, IP, CARD, LINKS,
) = range(14)  # fmt: skip
WATERMARK: Final = LINKS + 12
WIDTH: Final = WATERMARK + 1

INWARDS: Final = (TransactionType.DEPOSIT, TransactionType.REFUND)

CASH_CHANNELS: Final = frozenset({"atm"})
CASH_CATEGORIES: Final = frozenset({"4829", "6010", "6011", "6051", "6540", "7995"})
"""Merchant categories (ISO 18245) that turn a card into money: wire transfers, cash over the
counter and from machines, quasi-cash, top-ups, betting."""


def is_cash_like(tx: Transaction) -> bool:
    """Whether money leaves as cash, or as what is as good as cash."""
    return (
        tx.type is TransactionType.WITHDRAWAL
        or tx.channel in CASH_CHANNELS
        or tx.merchant_category in CASH_CATEGORIES
    )


def write_row(tx: Transaction, admission: Admission, row: NDArray[np.int64]) -> None:
    """Lay out an accepted transaction, save its hash, length, speakers and watermark.

    Mutates `row`.
    """
    (device, ip, card, other), time = admission.links, tx.timestamp
    row[TIME] = time
    row[VALUE] = -tx.value if tx.outcome is Outcome.DECLINED else tx.value
    row[INWARD] = tx.type in INWARDS
    row[CASH] = is_cash_like(tx)
    row[OPENED] = time if tx.user_created_at is None else tx.user_created_at
    row[USER:LINKS] = admission[2:7]  # from user to card
    row[LINKS:WATERMARK] = (*device, *ip, *card, *other)
