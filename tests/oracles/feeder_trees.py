"""What a feeder tree means, coin by coin in plain Python: slow and obvious."""

from dataclasses import dataclass

import xxhash

from graph.transaction import Entity, EntityKind, Transaction
from tests.oracles import money

TRIFLE = 0.1


@dataclass(frozen=True)
class Tree:
    root: Entity
    accounts: frozenset[Entity]
    hops: frozenset[str]
    beside: frozenset[Entity]


def is_user(end: Entity | None) -> bool:
    return end is not None and end.kind is EntityKind.USER


def in_order(transactions: list[Transaction]) -> list[Transaction]:
    """As the window orders the edges of an account: by time, then hash of the id."""
    return sorted(
        transactions, key=lambda o: (o.timestamp, xxhash.xxh32_intdigest(o.transaction_id.encode()))
    )


def spent(
    stream: list[Transaction], out: Transaction, within: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Of each payment into the payer: coins gone by now, and coins that went with `out`."""
    past = money.before(stream, out, within)
    ins = in_order([o for o in past if o.payee == out.payer])
    if not ins:
        return {}, {}
    outs = [o for o in past if o.payer == out.payer and o.timestamp > ins[0].timestamp]
    purse: list[str] = []
    gone = dict.fromkeys((o.transaction_id for o in ins), 0)
    part = dict(gone)
    for each in [*in_order(outs), out]:
        while ins and ins[0].timestamp < each.timestamp:
            purse += [ins[0].transaction_id] * ins[0].value
            ins.pop(0)
        for _ in range(min(each.value, len(purse))):
            coin = purse.pop()
            gone[coin] += 1
            part[coin] += each is out
    return gone, part


def feeders(
    stream: list[Transaction], out: Transaction, *, within: int, carries: float, passes_on: float
) -> list[Transaction] | None:
    """The payments that `out` relays; None if it does not relay."""
    gone, part = spent(stream, out, within)
    found = [
        o
        for o in stream
        if is_user(o.payer)
        and part.get(o.transaction_id, 0) >= max(TRIFLE * out.value, 1)
        and gone[o.transaction_id] >= passes_on * o.value
    ]
    return found if found and sum(part.values()) >= carries * out.value else None


def trunk_of(
    stream: list[Transaction], tx: Transaction, *, within: int, carries: float, passes_on: float
) -> tuple[Entity, dict[str, int]]:
    """The root, and the payments that the tree grows from, each with its level."""
    limits = {"within": within, "carries": carries, "passes_on": passes_on}
    past = money.before(stream, tx, within)
    if is_user(tx.payee):
        paid_in = [o for o in past if o.payee == tx.payee and is_user(o.payer)]
        relayed = [o for o in [*paid_in, tx] if feeders(stream, o, **limits) is not None]
        return tx.payee, {o.transaction_id: 0 for o in relayed}
    gone, _ = spent(stream, tx, within)
    level = {tx.transaction_id: 0}
    for o in past:
        out = gone.get(o.transaction_id, 0)
        if is_user(o.payer) and out >= max(passes_on * o.value, TRIFLE * tx.value, 1):
            level[o.transaction_id] = 1
    return tx.payer, level


def beside_of(
    stream: list[Transaction],
    tx: Transaction,
    accounts: set[Entity],
    outermost: set[Entity],
    *,
    within: int,
    passes_on: float,
) -> set[Entity]:
    """Whom the outermost feeders paid what these had passed on as well."""
    past = money.before(stream, tx, within)
    found = set()
    for o in past:
        if o.payer not in outermost or not is_user(o.payee) or o.payee in accounts:
            continue
        later = [p for p in past if p.payer == o.payee and p.timestamp > o.timestamp]
        if later:
            last = in_order(later)[-1]
            gone, _ = spent(stream, last, within - (tx.timestamp - last.timestamp))
            if gone.get(o.transaction_id, 0) >= passes_on * o.value:
                found.add(o.payee)
    return found


def tree(
    stream: list[Transaction],
    tx: Transaction,
    *,
    within: int,
    carries: float,
    passes_on: float,
    levels: int,
) -> Tree | None:
    """The tree whose money `tx` moves on; nothing before its own `within` belongs to it."""
    stream = [*money.before(stream, tx, within), tx]
    limits = {"within": within, "carries": carries, "passes_on": passes_on}
    if not money.moving([tx]) or not is_user(tx.payer):
        return None
    if feeders(stream, tx, **limits) is None:
        return None
    root, level = trunk_of(stream, tx, **limits)
    hops = {o.transaction_id: o for o in stream if o.transaction_id in level}
    # Of cash or a purchase, the trunk, what came in is known already.
    queue = [o for o in hops.values() if o.payer != root]
    while queue:
        hop = queue.pop(0)
        if level[hop.transaction_id] == levels:
            continue
        for o in feeders(stream, hop, **limits) or []:
            if o.payer != root and o.transaction_id not in level:
                level[o.transaction_id] = level[hop.transaction_id] + 1
                hops[o.transaction_id] = o
                queue.append(o)
    accounts = {root} | {o.payer for o in hops.values()}
    outermost = accounts - {root} - {o.payee for o in hops.values()}
    beside = beside_of(stream, tx, accounts, outermost, within=within, passes_on=passes_on)
    return Tree(root, frozenset(accounts), frozenset(level), frozenset(beside))
