"""The kernels that find a dense block around an edge; what it means is told in `layers`."""

from typing import Final

import numpy as np

from graph.compiled import kernel
from graph.kernels import KIND_USER, slot

_HALF: Final = 0.5
"""Who dealt with fewer of the other side does not belong to a block."""


@kernel
def block_at(  # type: ignore[no-untyped-def]  # noqa: C901, PLR0911  # one step after another
    edges, tail, cutoff, position, within, side, density, least, accounts, budget, sides, bits,
    pairs
):  # fmt: skip
    """Find the dense block of payers and payees that the edge at `position` adds a pair to.

    Fills `pairs` (int64[2, n]): the newest edge of each pair of the block, and of each pair of
    those who paid its payers. `sides` (int64[3, LAYER_SIDE]: payers, payees, who paid the payers)
    and `bits` (int64[3, LAYER_SIDE]: whom each payer paid, as bits; which payers each of the last
    paid; where the pairs of each payer begin) are filled as well. Mutates these three only.

    Returns:
        (payers, payees, pairs, those who paid the payers, their pairs, 1 if a bound was hit): all 0
        where neither a bipartite block nor a stack holds the edge, or it adds no pair.
    """
    none = (0, 0, 0, 0, 0, 0)
    e = slot(edges.pages, position)
    s, t = edges.source[e], edges.target[e]
    if s < 0 or t < 0 or s == t or edges.value[e] <= 0:
        return none
    if edges.account_kind[s] != KIND_USER or edges.account_kind[t] != KIND_USER:
        return none
    # Not even one other payee and one other payer: most edges end here.
    if edges.back_out[e] == 0 or edges.back_in[e] == 0:
        return none
    since = max(edges.time[e] - within, cutoff)
    payees, scanned, cut_out = _partners(
        edges, edges.back_out, edges.target, s, tail, since, position, budget, sides[1]
    )
    if payees < 2:
        return none
    payers, more, cut_in = _partners(
        edges, edges.back_in, edges.source, t, tail, since, position, budget, sides[0]
    )
    if payers < 2:
        return none
    payers, payees = _apart(sides, payers, payees)
    if payers < 2 or payees < 2:
        return none
    scanned += more
    truncated = cut_out or cut_in

    bits[0, 0] = (np.int64(1) << payees) - 1
    for i in range(1, payers):
        bits[0, i], scanned = _paid_of(
            edges, sides[0, i], sides[1], payees, tail, since, position, scanned, budget
        )
    payers, payees = _peeled(sides, bits[0], payers, payees, density)
    if payers < 2 or payees < 2:
        return none

    found = 0
    for i in range(payers):
        bits[2, i] = found
        found, scanned = _pairs_of(
            edges, sides[0, i], sides[1], bits[0, i], payees, tail, since, position, pairs[0],
            found, scanned, 2 * budget,
        )  # fmt: skip
    above, funded, scanned = _funders(
        edges, sides, bits, payers, payees, density, tail, since, pairs, scanned, 2 * budget
    )
    if above + payers + payees < accounts:
        above, funded = 0, 0
    if above == 0 and (payers < side or payees < side or payers + payees < least):
        return none
    return payers, payees, found, above, funded, int(truncated or scanned >= 2 * budget)


@kernel
def _partners(  # type: ignore[no-untyped-def]
    edges, back, ends, centre, tail, since, position, budget, partners
):
    """Fill `partners` with the distinct users at the other end of the centre's edges, newest first.

    The one of the edge at `position` is the first. Returns (how many, edges looked at, whether a
    bound was hit); none if that one was there before.
    """
    e = slot(edges.pages, position)
    partners[0] = ends[e]
    count = 1
    scanned = 0
    p = position - back[e] if back[e] != 0 else np.int64(-1)
    while p >= tail:
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            break
        if scanned == budget:
            return count, scanned, True
        scanned += 1
        end = ends[s]
        if edges.value[s] > 0 and edges.time[s] < edges.time[e]:
            if end == ends[e]:
                return 0, scanned, False
            if end >= 0 and end != centre and edges.account_kind[end] == KIND_USER:
                if count == partners.shape[0]:
                    return count, scanned, True
                if _place_of(partners, count, end) < 0:
                    partners[count] = end
                    count += 1
        if back[s] == 0:
            break
        p -= back[s]
    return count, scanned, False


@kernel
def _place_of(accounts, count, account):  # type: ignore[no-untyped-def]
    """Where an account stands among the first `count`, -1 if nowhere."""
    for k in range(count):
        if accounts[k] == account:
            return k
    return -1


@kernel
def _apart(sides, payers, payees):  # type: ignore[no-untyped-def]
    """Leave out whoever is on both sides; returns how many are left. Mutates `sides`."""
    i = 1
    while i < payers:
        j = _place_of(sides[1], payees, sides[0, i])
        if j < 0:
            i += 1
            continue
        payers -= 1
        sides[0, i] = sides[0, payers]
        if j > 0:
            payees -= 1
            sides[1, j] = sides[1, payees]
    return payers, payees


@kernel
def _paid_of(  # type: ignore[no-untyped-def]
    edges, payer, payees, count, tail, since, position, scanned, budget
):
    """Which of the payees an account paid before the edge at `position`, as bits."""
    found = np.int64(0)
    e = slot(edges.pages, position)
    p = edges.newest_out[payer]
    while p >= tail and scanned < budget:
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            break
        scanned += 1
        if edges.value[s] > 0 and edges.time[s] < edges.time[e]:
            j = _place_of(payees, count, edges.target[s])
            if j >= 0:
                found |= np.int64(1) << j
        if edges.back_out[s] == 0:
            break
        p -= edges.back_out[s]
    return found, scanned


@kernel
def _ones(bits):  # type: ignore[no-untyped-def]
    """How many bits are set."""
    count = 0
    while bits != 0:
        bits &= bits - 1
        count += 1
    return count


@kernel
def _peeled(sides, rows, payers, payees, density):  # type: ignore[no-untyped-def]  # noqa: C901
    """Drop the loosest account until the block is dense; returns (payers, payees) left.

    The first of each side stays. Mutates `sides` and `rows`.
    """
    while payers >= 2 and payees >= 2:
        pairs = 0
        worst, share, column = 1, 2.0, False
        for i in range(payers):
            ones = _ones(rows[i])
            pairs += ones
            if i > 0 and ones / payees < share:
                worst, share, column = i, ones / payees, False
        for j in range(1, payees):
            ones = 0
            for i in range(payers):
                ones += (rows[i] >> j) & 1
            if ones / payers < share:
                worst, share, column = j, ones / payers, True
        if pairs >= density * payers * payees and share >= _HALF:
            break
        if column:
            payees -= 1
            sides[1, worst] = sides[1, payees]
            for i in range(payers):
                last = (rows[i] >> payees) & 1
                rows[i] &= ~((np.int64(1) << payees) | (np.int64(1) << worst))
                if worst < payees:
                    rows[i] |= last << worst
        else:
            payers -= 1
            sides[0, worst] = sides[0, payers]
            rows[worst] = rows[payers]
    return payers, payees


@kernel
def _pairs_of(  # type: ignore[no-untyped-def]
    edges, payer, payees, row, count, tail, since, position, pairs, found, scanned, budget
):
    """Add the newest edge from an account to each payee in its row; returns (found, scanned)."""
    e = slot(edges.pages, position)
    p = position if edges.source[e] == payer else edges.newest_out[payer]
    while p >= tail and row != 0 and scanned < budget:
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            break
        scanned += 1
        if edges.value[s] > 0 and (edges.time[s] < edges.time[e] or p == position):
            j = _place_of(payees, count, edges.target[s])
            if j >= 0 and (row >> j) & 1:
                row &= ~(np.int64(1) << j)
                pairs[found] = p
                found += 1
        if edges.back_out[s] == 0:
            break
        p -= edges.back_out[s]
    return found, scanned


@kernel
def _funders(  # type: ignore[no-untyped-def]  # noqa: C901  # the same walk twice
    edges, sides, bits, payers, payees, density, tail, since, pairs, scanned, budget
):
    """Find who paid enough of the payers before these paid on.

    `bits[2]` has the place in `pairs[0]` of each payer's newest edge. Fills `sides[2]`, `bits[1]`
    and `pairs[1]`. Returns (how many, their pairs, edges looked at).
    """
    count = 0
    funded = 0
    for collecting in range(2):
        for i in range(payers):
            p = pairs[0, bits[2, i]]
            s = slot(edges.pages, p)
            out_at = edges.time[s]
            q = p - edges.back_pred[s] if edges.back_pred[s] != 0 else np.int64(-1)
            while q >= tail and scanned < budget:
                r = slot(edges.pages, q)
                if edges.time[r] < since:
                    break
                scanned += 1
                x = edges.source[r]
                if (
                    x >= 0
                    and edges.value[r] > 0
                    and edges.time[r] < out_at
                    and edges.account_kind[x] == KIND_USER
                ):
                    k = _place_of(sides[2], count, x)
                    if collecting == 1:
                        if k >= 0 and (bits[1, k] >> i) & 1:
                            bits[1, k] &= ~(np.int64(1) << i)
                            pairs[1, funded] = q
                            funded += 1
                    elif k >= 0:
                        bits[1, k] |= np.int64(1) << i
                    elif (
                        count < sides.shape[1]
                        and _place_of(sides[0], payers, x) < 0
                        and _place_of(sides[1], payees, x) < 0
                    ):
                        sides[2, count] = x
                        bits[1, count] = np.int64(1) << i
                        count += 1
                if edges.back_in[r] == 0:
                    break
                q -= edges.back_in[r]
        if collecting == 0:
            enough = 0
            for k in range(count):
                if _ones(bits[1, k]) >= max(2.0, density * payers):
                    sides[2, enough], bits[1, enough] = sides[2, k], bits[1, k]
                    enough += 1
            count = enough
            if count < 2:
                return 0, 0, scanned
    return count, funded, scanned
