"""Who shares an identifier with whom, said with plain sets."""

from collections.abc import Iterable

from graph.transaction import Entity, EntityKind, Transaction


def users_of(transactions: Iterable[Transaction], identifier: Entity) -> set[Entity]:
    return {tx.user for tx in transactions if identifier in tx.identifiers}


def together(transactions: Iterable[Transaction], tx: Transaction) -> set[Entity]:
    """Users who share this transaction's IP and a device or card with its user, and that user."""
    transactions = list(transactions)
    ip = Entity(EntityKind.IP, tx.ip_address)
    mine = {
        identifier
        for other in transactions
        if other.user == tx.user
        for identifier in other.identifiers
        if identifier.kind is not EntityKind.IP
    }
    companions = {user for identifier in mine for user in users_of(transactions, identifier)}
    return (companions | {tx.user}) & users_of(transactions, ip)
