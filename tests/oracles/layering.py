"""What chains, relays, layers and structuring mean, in plain Python: slow and obvious."""

from collections.abc import Iterable
from itertools import accumulate, pairwise
from math import ceil

from graph.heuristics.structuring import JustUnder
from graph.transaction import Entity, EntityKind, Transaction
from tests.oracles import money

Pair = tuple[Entity, Entity]


def is_user(end: Entity | None) -> bool:
    return end is not None and end.kind is EntityKind.USER


def chains(
    stream: list[Transaction], tx: Transaction, *, within: int, least: float, most: float
) -> list[list[Transaction]]:
    """Every chain that ends with a transaction, of two hops and more."""
    if not money.moving([tx]) or not is_user(tx.payer):
        return []
    if tx.payee is not None and not is_user(tx.payee):
        return []
    past = [o for o in money.before(stream, tx, within) if money.between_users(o)]
    found: list[list[Transaction]] = []
    paths = [[tx]]
    while paths:
        path = paths.pop()
        visited = {o.payer for o in path} | {tx.payee}
        for o in past:
            first = path[0]
            if (
                o.payee == first.payer
                and o.timestamp < first.timestamp
                and o.payer not in visited
                and least * o.value <= first.value <= most * o.value
            ):
                found.append([o, *path])
                paths.append([o, *path])
    return found


def is_chain(hops: list[Transaction], *, least: float, most: float) -> bool:
    return all(
        a.payee == b.payer
        and a.timestamp < b.timestamp
        and least * a.value <= b.value <= most * a.value
        for a, b in pairwise(hops)
    )


def intermediaries(
    stream: list[Transaction], tx: Transaction, *, within: int, least: float, most: float
) -> dict[Entity, set[Entity]]:
    """By each who scattered: the hands over which its money reached the payee with `tx`.

    Only those to whom `tx` adds its payer.
    """
    if not money.moving([tx]) or not money.between_users(tx):
        return {}
    past = [o for o in money.before(stream, tx, within) if money.between_users(o)]

    def fed(out: Transaction) -> set[Entity]:
        return {
            o.payer
            for o in past
            if o.payee == out.payer
            and o.timestamp < out.timestamp
            and least * o.value <= out.value <= most * o.value
        }

    earlier = [o for o in past if o.payee == tx.payee]
    found: dict[Entity, set[Entity]] = {}
    for source in fed(tx) - {tx.payee}:
        hands = {o.payer for o in earlier if source in fed(o)}
        if tx.payer not in hands:
            found[source] = hands | {tx.payer}
    return found


def block(
    stream: list[Transaction], tx: Transaction, *, within: int, density: float
) -> tuple[set[Entity], set[Entity], set[Pair]] | None:
    """The payers, payees and pairs around a pair that `tx` adds; peeling not needed or None.

    None also where the greedy peeling has a choice to make: there the oracle does not know.
    """
    if not money.moving([tx]) or not money.between_users(tx):
        return None
    past = [o for o in money.before(stream, tx, within) if money.between_users(o)]
    pairs = {(o.payer, o.payee) for o in past}
    if (tx.payer, tx.payee) in pairs:
        return None
    pairs.add((tx.payer, tx.payee))
    payees = {b for a, b in pairs if a == tx.payer}
    payers = {a for a, b in pairs if b == tx.payee}
    both = payers & payees
    payers, payees = payers - both, payees - both
    kept = {(a, b) for a, b in pairs if a in payers and b in payees}
    if len(payers) < 2 or len(payees) < 2 or len(kept) < density * len(payers) * len(payees):
        return None
    if any(2 * sum(a == payer for a, _ in kept) < len(payees) for payer in payers):
        return None
    if any(2 * sum(b == payee for _, b in kept) < len(payers) for payee in payees):
        return None
    return payers, payees, kept


def funders(
    stream: list[Transaction],
    tx: Transaction,
    payers: set[Entity],
    payees: set[Entity],
    *,
    within: int,
    density: float,
) -> set[Entity]:
    """Users outside a block who paid enough of its payers before these last paid on."""
    past = [o for o in money.before(stream, tx, within) if money.between_users(o)]
    paid: dict[Entity, set[Entity]] = {}
    for payer in payers:
        outs = [o for o in [*past, tx] if o.payer == payer and o.payee in payees]
        last = max(o.timestamp for o in outs)
        for o in past:
            if o.payee == payer and o.timestamp < last and o.payer not in payers | payees:
                paid.setdefault(o.payer, set()).add(payer)
    enough = max(2, ceil(density * len(payers)))
    found = {source for source, to in paid.items() if len(to) >= enough}
    return found if len(found) >= 2 else set()


def just_under(
    stream: list[Transaction], tx: Transaction, *, within: int, limits: JustUnder
) -> tuple[int, int, bool]:
    """What counts into the payee and out of the payer, with `tx`; whether it hands cash on."""

    def between_users(o: Transaction) -> bool:
        return all(end is None or is_user(end) for end in (o.payer, o.payee))

    def hands_on(o: Transaction, past: list[Transaction]) -> bool:
        if not (is_user(o.payer) and is_user(o.payee)):
            return False
        cash = [
            p.value
            for p in reversed(past)
            if p.payer is None
            and p.payee == o.payer
            and p.timestamp < o.timestamp
            and limits.cash <= p.value < limits.limit
        ]
        return any(limits.hands_on * c <= o.value <= c for c in [*cash, *accumulate(cash)])

    def counts(o: Transaction, past: list[Transaction]) -> bool:
        return between_users(o) and (limits.least <= o.value < limits.limit or hands_on(o, past))

    past = money.before(stream, tx, within)
    if not money.moving([tx]) or not counts(tx, past):
        return 0, 0, False
    others = [o for o in past if counts(o, past)]
    ins = 1 + sum(o.payee == tx.payee for o in others) if tx.payee is not None else 0
    outs = 1 + sum(o.payer == tx.payer for o in others) if tx.payer is not None else 0
    return ins, outs, hands_on(tx, past)


def entities(hops: Iterable[Transaction]) -> set[Entity]:
    return {end for hop in hops for end in (hop.payer, hop.payee) if end is not None}


def had_dealt(stream: list[Transaction], tx: Transaction, accounts: set[Entity]) -> bool:
    """Whether some two of the accounts had dealt with each other before a transaction."""
    return any(o.timestamp < tx.timestamp and {o.user, o.other_party} <= accounts for o in stream)
