"""Who shares an identifier with whom, said with plain sets."""

from collections.abc import Iterable

from graph.transaction import Entity, EntityKind, Transaction


def users_of(transactions: Iterable[Transaction], identifier: Entity) -> set[Entity]:
    return {tx.user for tx in transactions if identifier in tx.identifiers}


def together(transactions: Iterable[Transaction], tx: Transaction) -> set[Entity]:
    """Users of this transaction's IP whom devices and cards join to its user, and that user."""
    transactions = list(transactions)
    there = users_of(transactions, Entity(EntityKind.IP, tx.ip_address))
    found, ahead = {tx.user}, {tx.user}
    while ahead:
        shared = {
            identifier
            for other in transactions
            if other.user in ahead
            for identifier in other.identifiers
            if identifier.kind is not EntityKind.IP
        }
        ahead = {u for each in shared for u in users_of(transactions, each)} & there - found
        found |= ahead
    return found
