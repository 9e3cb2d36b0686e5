"""The kernels that trace money back from where it goes; `feeder_tree` tells what it means."""

from typing import Final

import numpy as np

from graph.compiled import kernel
from graph.kernels import KIND_USER, slot

LEVELS: Final = 3
"""Payments that a tree follows back from its trunk."""
_TRIFLE: Final = 0.1
"""Of a payment, what is too little to name whose money it was."""
_BESIDE: Final = LEVELS + 1
"""Level of what the feeders had passed on elsewhere."""


@kernel
def tree_at(  # type: ignore[no-untyped-def]  # noqa: C901  # one step after another
    edges, tail, cutoff, position, within, span, carries, passes_on, least, budget, accounts, hops,
    ins, outs
):  # fmt: skip
    """Find the tree of payments whose money the edge at `position` moves on.

    Fills `accounts` (int64[n]: the root first) and `hops` (int64[2, m]: positions and levels; the
    trunk first, at level 0). `ins` (int64[3, k]) and `outs` (int64[k]) are scratch of `passed_on`.
    Mutates these four only. Money may rest `within` at each account, `span` in all.

    Returns:
        (accounts, hops, accounts beside the tree proper, 1 if a bound was hit): all 0 where the
        edge does not pass on others' money or fewer than `least` accounts are in it.
    """
    none = (0, 0, 0, 0)
    e = slot(edges.pages, position)
    u, v = edges.source[e], edges.target[e]
    if u < 0 or u == v or edges.value[e] <= 0 or edges.back_pred[e] == 0:
        return none
    if edges.account_kind[u] != KIND_USER:
        return none
    gathers = v >= 0 and edges.account_kind[v] == KIND_USER
    floor = max(edges.time[e] - span, cutoff)
    since = max(edges.time[e] - within, floor)
    came, looked, cut = passed_on(edges, tail, since, position, ins, outs)
    if not _relays(edges, position, came, ins, carries, passes_on):
        return none
    accounts[0] = v if gathers else u
    count, found = 1, 0
    if gathers:
        count, found, looked, cut = _paid_in(
            edges, tail, floor, position, within, carries, passes_on, budget, accounts, hops, ins,
            outs, looked, cut,
        )  # fmt: skip
    else:
        hops[0, 0], hops[1, 0] = position, 0
        found = 1
    at = 0
    while at < found and looked < budget:
        level = hops[1, at]
        if level == LEVELS:
            break  # the hops stand level by level
        p = hops[0, at]
        at += 1
        s = slot(edges.pages, p)
        came, seen, short = passed_on(edges, tail, max(edges.time[s] - within, floor), p, ins, outs)
        looked, cut = looked + seen, cut or short
        if not _relays(edges, p, came, ins, carries, passes_on):
            continue
        for i in range(came):
            # Of what left the root with the trunk, all that was passed on by then belongs to it.
            part = ins[1, i] if level == 0 and not gathers else ins[2, i]
            q = ins[0, i]
            payer = edges.source[slot(edges.pages, q)]
            if not _feeds(edges, q, ins[1, i], part, edges.value[s], passes_on):
                continue
            if payer == accounts[0] or _holds(hops, found, q):
                continue
            count, found, full = _added(accounts, count, hops, found, payer, q, level + 1)
            cut = cut or full
    tree = count
    if tree > 1:
        count, found, looked, short = _beside(
            edges, tail, position, since, passes_on, budget, accounts, count, hops, found, ins,
            outs, looked,
        )  # fmt: skip
        cut = cut or short
    if count < least:
        return none
    return count, found, count - tree, int(cut or looked >= budget)


@kernel
def passed_on(  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912, PLR0915  # one merge
    edges, tail, since, position, ins, outs
):
    """Match what came into an account against what went out of it, last in first out.

    Over the edges strictly before the one at `position`, and that edge. Fills `ins` (int64[3, k]:
    positions newest first; what of each had gone out; what went out with the last edge) and `outs`
    (int64[k]: newest first, the edge itself at 0). Mutates these two only.

    Returns:
        (ins, edges looked at, whether the bound k was hit).
    """
    e = slot(edges.pages, position)
    u, now = edges.source[e], edges.time[e]
    came = looked = 0
    cut = False
    p = position - edges.back_pred[e] if edges.back_pred[e] != 0 else np.int64(-1)
    while p >= tail:
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            break
        if came == ins.shape[1]:
            cut = True
            break
        looked += 1
        if edges.value[s] > 0 and edges.source[s] != u:
            ins[0, came], ins[1, came], ins[2, came] = p, 0, 0
            came += 1
        if edges.back_in[s] == 0:
            break
        p -= edges.back_in[s]
    if came == 0:
        return 0, looked, cut
    oldest = edges.time[slot(edges.pages, ins[0, came - 1])]
    outs[0] = position
    went = 1
    p = position - edges.back_out[e] if edges.back_out[e] != 0 else np.int64(-1)
    while p >= tail:
        s = slot(edges.pages, p)
        if edges.time[s] <= oldest:
            break
        if went == outs.shape[0]:
            cut = True
            break
        looked += 1
        if edges.value[s] > 0 and edges.time[s] < now and edges.target[s] != u:
            outs[went] = p
            went += 1
        if edges.back_out[s] == 0:
            break
        p -= edges.back_out[s]

    head = came  # of `ins`, those from here on had come in
    for j in range(went - 1, -1, -1):
        o = slot(edges.pages, outs[j])
        need = edges.value[o]
        while head > 0 and edges.time[slot(edges.pages, ins[0, head - 1])] < edges.time[o]:
            head -= 1
        for i in range(head, came):
            part = min(need, edges.value[slot(edges.pages, ins[0, i])] - ins[1, i])
            ins[1, i] += part
            if j == 0:
                ins[2, i] = part
            need -= part
            if need == 0:
                break
    return came, looked, cut


@kernel
def _feeds(edges, position, gone, part, value, passes_on):  # type: ignore[no-untyped-def]
    """Whether a payment in is a user's, has gone out again, and made up more than a trifle."""
    s = slot(edges.pages, position)
    payer = edges.source[s]
    return (
        payer >= 0
        and edges.account_kind[payer] == KIND_USER
        and gone >= passes_on * edges.value[s]
        and part > 0
        and part >= _TRIFLE * value
    )


@kernel
def _relays(edges, position, came, ins, carries, passes_on):  # type: ignore[no-untyped-def]
    """Whether the edge that `passed_on` ended with moves on what users had paid in."""
    value = edges.value[slot(edges.pages, position)]
    carried = np.int64(0)
    feeders = 0
    for i in range(came):
        carried += ins[2, i]
        feeders += _feeds(edges, ins[0, i], ins[1, i], ins[2, i], value, passes_on)
    return feeders > 0 and carried >= carries * value


@kernel
def _holds(hops, found, position):  # type: ignore[no-untyped-def]
    """Whether a position is among the hops."""
    for k in range(found):  # noqa: SIM110  # compiled
        if hops[0, k] == position:
            return True
    return False


@kernel
def _place_of(accounts, count, account):  # type: ignore[no-untyped-def]
    """Where an account stands among the first `count`, -1 if nowhere."""
    for k in range(count):
        if accounts[k] == account:
            return k
    return -1


@kernel
def _added(accounts, count, hops, found, account, position, level):  # type: ignore[no-untyped-def]
    """Add a hop and the account it is about; returns (accounts, hops, whether there was no room).

    Mutates `accounts` and `hops`.
    """
    known = _place_of(accounts, count, account) >= 0
    if found == hops.shape[1] or (not known and count == accounts.shape[0]):
        return count, found, True
    hops[0, found], hops[1, found] = position, level
    if not known:
        accounts[count] = account
        count += 1
    return count, found + 1, False


@kernel
def _paid_in(  # type: ignore[no-untyped-def]
    edges, tail, floor, position, within, carries, passes_on, budget, accounts, hops, ins, outs,
    looked, cut
):  # fmt: skip
    """The trunk where a user gathers: what relays paid it up to the edge at `position`.

    Returns (accounts, hops, edges looked at, whether a bound was hit). Mutates `accounts`, `hops`
    and scratch.
    """
    e = slot(edges.pages, position)
    root, since = edges.target[e], max(edges.time[e] - within, floor)
    count, found = 1, 0
    p = position
    while p >= tail and looked < budget:
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            break
        looked += 1
        payer = edges.source[s]
        if p == position or (
            edges.time[s] < edges.time[e]
            and edges.value[s] > 0
            and payer >= 0
            and payer != root
            and edges.account_kind[payer] == KIND_USER
        ):
            came, seen, short = passed_on(
                edges, tail, max(edges.time[s] - within, floor), p, ins, outs
            )
            looked, cut = looked + seen, cut or short
            if _relays(edges, p, came, ins, carries, passes_on):
                count, found, full = _added(accounts, count, hops, found, payer, p, 0)
                if full:
                    return count, found, looked, True
        if edges.back_in[s] == 0:
            break
        p -= edges.back_in[s]
    return count, found, looked, cut


@kernel
def _beside(  # type: ignore[no-untyped-def]  # noqa: C901  # one walk
    edges, tail, position, since, passes_on, budget, accounts, count, hops, found, ins, outs, looked
):  # fmt: skip
    """Others to whom the outermost feeders paid what these had passed on before the edge.

    Returns (accounts, hops, edges looked at, whether a bound was hit). Mutates `accounts`, `hops`
    and scratch.
    """
    e = slot(edges.pages, position)
    now = edges.time[e]
    tree, trunk = count, found
    for k in range(1, tree):
        feeder = accounts[k]
        fed = False
        for h in range(trunk):
            fed |= edges.target[slot(edges.pages, hops[0, h])] == feeder
        p = np.int64(-1) if fed else edges.newest_out[feeder]
        while p >= tail and looked < budget:
            s = slot(edges.pages, p)
            if edges.time[s] < since:
                break
            looked += 1
            payee = edges.target[s]
            if (
                edges.time[s] < now
                and edges.value[s] > 0
                and payee >= 0
                and edges.account_kind[payee] == KIND_USER
                and _place_of(accounts, count, payee) < 0
            ):
                out, seen = _newest_before(edges, tail, payee, now, edges.time[s], budget - looked)
                looked += seen
                if out >= 0:
                    came, seen, _ = passed_on(edges, tail, since, out, ins, outs)
                    looked += seen
                    for i in range(came):
                        if ins[0, i] == p and ins[1, i] >= passes_on * edges.value[s]:
                            count, found, full = _added(
                                accounts, count, hops, found, payee, p, _BESIDE
                            )
                            if full:
                                return count, found, looked, True
                            break
            if edges.back_out[s] == 0:
                break
            p -= edges.back_out[s]
    return count, found, looked, False


@kernel
def _newest_before(edges, tail, account, before, after, budget):  # type: ignore[no-untyped-def]
    """The newest edge that moved money out of an account strictly between two moments.

    Returns (its position, -1 if there is none; edges looked at, at most `budget`).
    """
    looked = 0
    p = edges.newest_out[account]
    while p >= tail and looked < budget:
        s = slot(edges.pages, p)
        if edges.time[s] <= after:
            break
        looked += 1
        if edges.time[s] < before and edges.value[s] > 0 and edges.target[s] != account:
            return p, looked
        if edges.back_out[s] == 0:
            break
        p -= edges.back_out[s]
    return np.int64(-1), looked
