"""Who takes part in a transaction of each type: user, counterparty, merchant."""

from collections.abc import Mapping
from typing import Final

from graph.transaction import TransactionType
from ingest.fields import Flaw


def check_parties(
    kind: TransactionType, user: str, counterparty: str | None, merchant: str | None
) -> tuple[str, Flaw] | None:
    """The flaw in who takes part in a transaction of this type, with its field, if there is one.

    A transfer goes to another user, a payment to a merchant, and a refund comes back from the one
    or the other. A withdrawal or deposit crosses the edge of the graph: it has no counterparty, but
    may name the merchant where it happened (an agent, a shop with cash-back, the owner of an ATM).
    """
    if kind is TransactionType.PAYMENT:
        if counterparty is None and merchant is not None:
            return None
    elif kind is TransactionType.TRANSFER:
        if merchant is None and counterparty is not None and counterparty != user:
            return None
    elif kind is TransactionType.REFUND:
        if (counterparty is None) != (merchant is None) and counterparty != user:
            return None
    elif counterparty is None:
        return None
    return _parties_flaw(kind, user, counterparty, merchant)


RULES: Final[Mapping[TransactionType, str]] = {
    TransactionType.PAYMENT: "a payment has a merchant_id and no counterparty_id",
    TransactionType.TRANSFER: "a transfer has a counterparty_id and no merchant_id",
    TransactionType.REFUND: "a refund has either a merchant_id or a counterparty_id",
    TransactionType.WITHDRAWAL: "a withdrawal has no counterparty_id",
    TransactionType.DEPOSIT: "a deposit has no counterparty_id",
}


def _parties_flaw(
    kind: TransactionType, user: str, counterparty: str | None, merchant: str | None
) -> tuple[str, Flaw]:
    rule = RULES[kind]
    if counterparty is not None and counterparty == user and kind is not TransactionType.PAYMENT:
        what = "a user cannot pay themselves"
        return "counterparty_id", Flaw(what, counterparty, "Send two different users.")
    if kind is TransactionType.PAYMENT:
        wrong, value = (
            ("merchant_id", None) if merchant is None else ("counterparty_id", counterparty)
        )
    elif kind is TransactionType.TRANSFER:
        wrong, value = (
            ("counterparty_id", None) if counterparty is None else ("merchant_id", merchant)
        )
    else:
        wrong, value = ("counterparty_id", counterparty)
    return wrong, Flaw(rule, value, "Send the right party, or another type.")
