"""Seen only in the whole window: many payers who all paid the same payees (dense blocks).

Behaviour
    Layering moves money from a layer of accounts to the next; buyers in a click farm or a scheme
    all pay the same few accounts. Spread over a day and thinned out, no single payment completes
    anything that `graph.heuristics.layers` sees: it needs three quarters of the pairs, around one
    edge.

Definition
    Over the fresh pairs of users in the window, each account once as payer and once as payee: sets
    of payers and payees found by weighted peeling (`graph.sweep.peeling`), where a pair with a
    payee of d payers weighs 1 / log(d + 5), so that hubs and popular accounts say little. Only
    accounts with
    `block_side` pairs inside take part (the core); whoever of them deals with `block_fill` of the
    other side of a block joins it; found blocks are taken out and the rest is peeled again, at most
    `blocks` times. A block counts with `block_side` to `block_most` accounts
    a side, at least `block_fill` of all its pairs, and at least `fresh_share` of the pairs that
    were paid fresh.

    The same over users and merchants, without those of more than `popular` payers and with
    `shops_fill`. That is weak evidence: shoppers of one street do it as well. It only speaks about
    a ring that holds all of the users, and brings in the shops where they cash out.

    `strength` = 0.35 + 0.2 · fill + 0.2 · fresh share, plus 0.01 a pair beyond the smallest block
    (at most 0.1); 0.45 for shops.

Method and cost
    O(E log V) a block for E fresh pairs of the core.

Misses
    Blocks smaller than the core asks for, and what was spread over more than the window.

False positives
    A market day of a club whose members deal for the first time; the first day of a stream, on
    which everybody is new.

Source
    Charikar 2000 and Hooi et al. (FRAUDAR), KDD 2016: see `graph.sweep.peeling`. The constant 5 is
    theirs.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.evidence import Evidence, Pattern, Role
from graph.heuristics.witness import span_in_words, witness
from graph.sweep.limits import SweepLimits
from graph.sweep.pairs import Paid, Pairs
from graph.sweep.peeling import core, densest, numbered, rows_of
from graph.transaction import Entity
from graph.window import TransactionWindow

_HALFWAY: Final = 5.0
_WEAK: Final = 0.45


class Block(NamedTuple):
    """Payers and payees, account ids, ascending."""

    payers: NDArray[np.int64]
    payees: NDArray[np.int64]


class Peeled(NamedTuple):
    """What peeling found.

    Attributes:
        evidence: The densest first.
        cut: The bound on blocks was hit: there may be more.
    """

    evidence: tuple[Evidence, ...]
    cut: bool


def blocks_in(
    window: TransactionWindow, paid: Paid, limits: SweepLimits, breathe: Callable[[], None]
) -> Peeled:
    """Evidence of the dense blocks of a window.

    Args:
        window: The window, or a copy of it.
        paid: Its pairs.
        limits: Bounds.
        breathe: Called after each peeling.
    """
    popular = np.bincount(paid.purchases.payee)[paid.purchases.payee] > limits.popular
    shops = paid.purchases.where(~popular)
    found: list[Evidence] = []
    cut = False
    for pairs, fill, weak in (
        (paid.transfers, limits.block_fill, False),
        (shops, limits.shops_fill, True),
    ):
        peeled = 0
        for block in peelings(pairs, limits):
            peeled += 1
            piece = _judge(window, pairs, block, limits, fill, weak=weak)
            if piece is not None:
                found.append(piece)
            breathe()
        cut |= peeled == limits.blocks
    return Peeled(tuple(found), cut)


def peelings(pairs: Pairs, limits: SweepLimits) -> Iterator[Block]:
    """Disjoint dense blocks of the fresh pairs, the densest first, at most `limits.blocks`."""
    fresh = pairs.where(pairs.fresh)
    if not len(fresh.payer):
        return
    most = int(max(fresh.payer.max(), fresh.payee.max())) + 1
    payers, a = numbered(fresh.payer, most)
    payees, b = numbered(fresh.payee, most)
    n = len(payers) + len(payees)
    degree = np.bincount(b)
    graph = rows_of(n, a, b + len(payers), 1.0 / np.log(degree[b] + _HALFWAY))
    alive = core(graph, limits.block_side)
    for _ in range(limits.blocks):
        nodes, _ = densest(graph, alive)
        if not len(nodes):
            return
        inside = np.zeros(n, np.bool_)
        inside[nodes] = True
        # Whoever deals with as many of the other side as a block asks for belongs to it, though
        # the average be denser without.
        for mine, theirs in ((a, b + len(payers)), (b + len(payers), a)):
            ties = np.bincount(mine[inside[theirs]], minlength=n)
            others = inside[np.unique(theirs)].sum()
            inside |= alive & (ties >= max(limits.block_side, limits.block_fill * others))
        alive &= ~inside
        yield Block(payers[inside[: len(payers)]], payees[inside[len(payers) :]])


def _judge(
    window: TransactionWindow,
    pairs: Pairs,
    block: Block,
    limits: SweepLimits,
    least: float,
    *,
    weak: bool,
) -> Evidence | None:
    """The block as evidence, if it is one."""
    sides = len(block.payers), len(block.payees)
    if min(sides) < limits.block_side or max(sides) > limits.block_most:
        return None
    inside = pairs.where(np.isin(pairs.payer, block.payers) & np.isin(pairs.payee, block.payees))
    count, fresh = len(inside.payer), int(inside.fresh.sum())
    # Who is on both sides cannot pay itself.
    possible = sides[0] * sides[1] - len(np.intersect1d(block.payers, block.payees))
    fill = count / possible
    if fill < least or fresh < limits.fresh_share * count:
        return None
    shown = _shown(inside, limits.witness)
    hops = witness(window, shown.tolist())
    beyond = min(0.01 * max(count - least * limits.block_side**2, 0), 0.1)
    strength = _WEAK if weak else 0.35 + 0.2 * fill + 0.2 * fresh / count + beyond
    span = hops[-1].timestamp - hops[0].timestamp
    return Evidence(
        pattern=Pattern.DENSE_BLOCK,
        seen_at=window.watermark,
        members=_members(window, block, hops[0].source),
        hops=hops,
        strength=strength,
        reason=(
            f"{sides[0]} accounts paid the same {sides[1]} {'shops' if weak else 'others'}: "
            f"{count} of {possible} pairs, {fresh} of them new to each other; "
            f"those shown within {span_in_words(span)}."
        ),
        facts={
            "payers": float(sides[0]),
            "payees": float(sides[1]),
            "pairs": float(count),
            "fresh_pairs": float(fresh),
            "fill": fill,
        },
        truncated=len(hops) < count,
    )


def _shown(inside: Pairs, most: int) -> NDArray[np.int64]:
    """Newest payments of pairs, at most so many: first one of each account, then the newest."""
    first = np.zeros(len(inside.payer), np.bool_)
    first[np.unique(inside.payer, return_index=True)[1]] = True
    first[np.unique(inside.payee, return_index=True)[1]] = True
    chosen = np.concatenate(
        [np.sort(inside.newest[first])[::-1], np.sort(inside.newest[~first])[::-1]]
    )
    return chosen[:most]


def _members(
    window: TransactionWindow, block: Block, centre: Entity | None
) -> tuple[tuple[Entity, Role], ...]:
    """Payers, then payees; who is both passes money on. The first payer shown is the centre."""
    both = set(block.payers.tolist()) & set(block.payees.tolist())
    found = [
        (window.accounts.entity(id_), Role.MULE if id_ in both else Role.SENDER)
        for id_ in block.payers.tolist()
    ]
    found += [
        (window.accounts.entity(id_), Role.RECEIVER)
        for id_ in block.payees.tolist()
        if id_ not in both
    ]
    found.sort(key=lambda member: member[0] != centre)
    return tuple(found)
