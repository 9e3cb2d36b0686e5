"""What the money patterns mean, said with plain lists, sets and networkx: slow and obvious.

Nothing here imports the kernels. Every function takes the transactions as a list in any order.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, product

import networkx as nx
import xxhash

from graph.transaction import Entity, EntityKind, Transaction

Cycle = tuple[str, ...]


def moving(transactions: Iterable[Transaction]) -> list[Transaction]:
    """Those that moved money, by time."""
    return sorted(
        (tx for tx in transactions if tx.moves_money and tx.value > 0 and tx.payer != tx.payee),
        key=lambda tx: (tx.timestamp, tx.transaction_id),
    )


def between_users(tx: Transaction) -> bool:
    ends = (tx.payer, tx.payee)
    return all(end is not None and end.kind is EntityKind.USER for end in ends)


def temporal_cycles(
    transactions: Iterable[Transaction], *, within: int, least: float, most: float, hops: int = 6
) -> set[Cycle]:
    """Every cycle as its transaction ids in order of time."""
    parallel: dict[tuple[Entity, Entity], list[Transaction]] = {}
    for tx in moving(transactions):
        if between_users(tx):
            parallel.setdefault((tx.payer, tx.payee), []).append(tx)
    graph = nx.DiGraph(list(parallel))
    found: set[Cycle] = set()
    for accounts in nx.simple_cycles(graph, length_bound=hops):
        steps = list(zip(accounts, [*accounts[1:], accounts[0]], strict=True))
        for choice in product(*(parallel[step] for step in steps)):
            for cycle in rotations(choice):
                if is_cycle(cycle, within, least, most):
                    found.add(tuple(tx.transaction_id for tx in cycle))
    return found


def rotations(items: Sequence[Transaction]) -> Iterator[list[Transaction]]:
    for i in range(len(items)):
        yield [*items[i:], *items[:i]]


def is_cycle(cycle: Sequence[Transaction], within: int, least: float, most: float) -> bool:
    pairs = list(pairwise(cycle))
    return (
        len(cycle) >= 2
        and all(a.timestamp < b.timestamp for a, b in pairs)
        and all(least * a.value <= b.value <= most * a.value for a, b in pairs)
        and cycle[-1].timestamp - cycle[0].timestamp <= within
    )


def before(transactions: Iterable[Transaction], tx: Transaction, within: int) -> list[Transaction]:
    """The money that moved strictly before a transaction and no longer ago than `within`."""
    return [
        other
        for other in moving(transactions)
        if tx.timestamp - within <= other.timestamp < tx.timestamp
    ]


def payers(transactions: Iterable[Transaction], tx: Transaction, within: int) -> set[Entity]:
    """Users who paid the payee up to now; empty if the payer was one of them already."""
    past = before(transactions, tx, within)
    seen = {o.payer for o in past if o.payee == tx.payee and between_users(o)}
    return set() if tx.payer in seen else seen | {tx.payer}


def payees(transactions: Iterable[Transaction], tx: Transaction, within: int) -> set[Entity]:
    """Users whom the payer paid up to now; empty if the payee was one of them already."""
    past = before(transactions, tx, within)
    seen = {o.payee for o in past if o.payer == tx.payer and between_users(o)}
    return set() if tx.payee in seen else seen | {tx.payee}


def _moment(tx: Transaction) -> tuple[int, int]:
    """The order of the window's chains: by time, and at one moment by the hash of the id."""
    return tx.timestamp, xxhash.xxh32_intdigest(tx.transaction_id.encode())


def tokens(
    transactions: Iterable[Transaction], tx: Transaction, within: int, *, goods: bool = False
) -> tuple[list[tuple[Transaction, Transaction]], int]:
    """Every minor unit of the payer's money on its own, first in first out.

    Returns:
        (a pair (came with, went with) for each unit that went to users or out of the graph, or for
        `goods`, by when it went; units that came in).
    """
    owner = tx.payer
    queue: list[Transaction] = []
    forwarded = []
    past = before(transactions, tx, within)
    outs = [*sorted((o for o in past if o.payer == owner), key=_moment), tx]
    ins = sorted((o for o in past if o.payee == owner), key=_moment)
    waiting = list(ins)
    for out in outs:
        while waiting and waiting[0].timestamp < out.timestamp:
            came = waiting.pop(0)
            queue += [came] * came.value
        spent, queue = queue[: out.value], queue[out.value :]
        if goods or out.payee is None or out.payee.kind is EntityKind.USER:
            forwarded += [(came, out) for came in spent]
    return forwarded, sum(o.value for o in ins)


def acquaintances(transactions: Iterable[Transaction], account: Entity, until: int) -> set[Entity]:
    """Whoever dealt with the account, either way, declined or not, before a moment."""
    known = set()
    for tx in transactions:
        if tx.timestamp < until and account in (tx.user, tx.other_party):
            known |= {tx.user, tx.other_party} - {account}
    return known


def mule(
    transactions: Iterable[Transaction],
    tx: Transaction,
    *,
    within: int,
    passes_on: float,
    dwell: int,
    senders: int,
    goods: bool = False,
) -> set[Entity] | None:
    """The strangers whose money the payer passes on with this transaction, or None."""
    if not tx.moves_money or tx.value <= 0 or tx.payer == tx.payee:
        return None
    if tx.payer is None or tx.payer.kind is not EntityKind.USER:
        return None
    if not goods and tx.payee is not None and tx.payee.kind is not EntityKind.USER:
        return None
    transactions = list(transactions)
    units, received = tokens(transactions, tx, within, goods=goods)
    if not any(out is tx for _, out in units) or len(units) < passes_on * received:
        return None
    stays = sorted(out.timestamp - came.timestamp for came, out in units)
    if stays[(len(stays) - 1) // 2] >= dwell:
        return None
    who = senders_to(transactions, tx, within)
    who -= acquaintances(transactions, tx.payer, tx.timestamp - within)
    return who if len(who) >= senders else None


def senders_to(transactions: Iterable[Transaction], tx: Transaction, within: int) -> set[Entity]:
    """Users who paid the payer and whom it did not pay."""
    past = before(transactions, tx, within)
    who = {o.payer for o in past if o.payee == tx.payer and between_users(o)}
    return who - {o.payee for o in [*past, tx] if o.payer == tx.payer}
