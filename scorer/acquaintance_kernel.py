"""Who of those whom evidence names knew whom before it: a part of `scorer.context_kernel`.

The victims of one tale are strangers to each other, the guests of one wedding are not; whoever
opens a way for stolen money has often tried it some days before; and an account that is used up has
met everybody it knows today.
"""

from typing import Final

import numpy as np

from graph import kernels
from graph.compiled import kernel
from graph.kernels import KIND_USER
from graph.transaction import DAY
from scorer.rank_kernel import ascend, middle

MOST_ACQUAINTED: Final = 16
"""Users compared with each other, in the order in which the evidence names them."""
MOST_CONTACTS: Final = 31
"""Whom one of them has paid, those met last first."""
MOST_STEPS: Final = 64
"""Links of one of them looked at for that, identifiers and shops among them."""

(
    ACQUAINTED, WITH_ACQUAINTANCES, PAYING_MEMBERS, COMMON, COMMON_OF_PAIRS, TRIED_LEAST,
    TRIED_MEDIAN, MET_MEDIAN, MET_MOST, MET_BY_CENTRE,
) = range(10)  # fmt: skip
ACQUAINTANCES: Final = MET_BY_CENTRE + 1
"""Figures, ten of `scorer.evidence_context.AROUND`."""
H_SOURCE, H_TARGET, H_VALUE, H_TIME = range(4)
"""Columns of the steps of a witness."""

_USER: Final = KIND_USER
_NEVER: Final = 1 << 62
_PAID: Final = 1  # of a row of contacts: bit j where member j may have been paid
_FIRST: Final = 2  # likewise: who they are from here on, ascending; before that how many
_WIDTH: Final = _FIRST + MOST_CONTACTS
SCRATCH: Final = MOST_ACQUAINTED * _WIDTH
"""Numbers that `acquaintances` writes down meanwhile."""

_inner: Final = kernel(cache=False)  # compiled anew whenever the context is


@_inner
def _contacts(edges, links, tail, members, n, i, begins, now, ids):  # type: ignore[no-untyped-def]
    """Fill row i of `ids` with whom member i had paid before a moment, members left out.

    Returns:
        How many users it has first paid within the day before `now`.
    """
    row, count, met, paid = i * _WIDTH, 0, 0, 0
    first = row + _FIRST
    position, looked = links.newest_of_user[members[i]], 0
    while position >= tail and looked < MOST_STEPS:
        s = kernels.slot(links.pages, position)
        looked += 1
        other = -2 - links.entity[s]
        if other >= 0 and edges.account_kind[other] == _USER:
            met += links.first[s] > now - DAY
            mine = False
            for j in range(n):
                if members[j] == other:
                    mine, paid = True, paid | 1 << j
            if links.first[s] < begins and not mine and count < MOST_CONTACTS:
                j = first + count
                while j > first and ids[j - 1] > other:
                    ids[j] = ids[j - 1]
                    j -= 1
                ids[j] = other
                count += 1
        if links.back_user[s] == 0:
            position = np.int64(-1)
        else:
            position -= links.back_user[s]
    # Whom it paid before the links that were looked at is not known: it may have been anybody.
    ids[row], ids[row + _PAID] = count, paid if position < tail else -1
    return met


@_inner
def _in_common(ids, one, other):  # type: ignore[no-untyped-def]
    """Contacts that two rows have in common, as a share of the shorter."""
    i, j = one * _WIDTH, other * _WIDTH
    shorter = min(ids[i], ids[j])
    if shorter == 0:
        return 0.0
    i, j, common = i + _FIRST, j + _FIRST, 0
    end_i, end_j = i + ids[one * _WIDTH], j + ids[other * _WIDTH]
    while i < end_i and j < end_j:
        a, b = ids[i], ids[j]
        common += a == b
        i += a <= b
        j += b <= a
    return common / shorter


@_inner
def _first_paid(links, table, ends, one, other):  # type: ignore[no-untyped-def]
    """When one first paid the other; `_NEVER` if it did not."""
    p = kernels.find_link(links, table, one, -2 - other, ends[0], ends[1])
    return links.first[kernels.slot(links.pages, p)] if p >= 0 else np.int64(_NEVER)


@_inner
def _first_of_pair(links, table, ends, members, i, j, ids):  # type: ignore[no-untyped-def]
    """When member i first paid member j; looked up only where its contacts leave it open."""
    if ids[i * _WIDTH + _PAID] >> j & 1:
        return _first_paid(links, table, ends, members[i], members[j])
    return np.int64(_NEVER)


@_inner
def acquaintances(edges, links, table, ends, now, members, hops, values, ids, out):  # type: ignore[no-untyped-def]
    """Fill `out` (`ACQUAINTANCES` places); mutates it and the scratch arrays.

    Of members that did not deal with each other in the witness, the share of pairs that knew each
    other and of members that knew another; the share of members that have ever paid another; what
    pairs have in common of whom they paid, and the share of pairs of the witness that have
    something; days between the first payment of a pair of the witness and its step, least and
    median of the pairs that were none of strangers; users first paid within a day, median and
    greatest of the members, and of the centre.

    Args:
        edges: Of the window.
        links: Likewise.
        table: Likewise, of the links.
        ends: int64[2]: the tail and the end of the links.
        now: When the evidence was completed.
        members: int64[n], the centre first.
        hops: int64[m, 4], by time: source and target (-1 = none), value, time.
        values: float64[k], k >= m and 2 * `MOST_ACQUAINTED`.
        ids: int64[k], k >= `SCRATCH`.
        out: float32[`ACQUAINTANCES`].
    """
    n = min(len(members), MOST_ACQUAINTED)
    begins = hops[0, H_TIME] if len(hops) > 0 else now
    out[:] = np.nan
    if n == 0:
        return
    for i in range(n):
        values[i] = _contacts(edges, links, ends[0], members, n, i, begins, now, ids)
    out[MET_BY_CENTRE] = values[0]
    ascend(values, n)
    out[MET_MEDIAN], out[MET_MOST] = middle(values, n), values[n - 1]
    _compare(links, table, ends, begins, members[:n], hops, values, ids, out)
    _tried(edges, links, table, ends, hops, values, out)


@_inner
def _compare(links, table, ends, begins, members, hops, values, ids, out):  # type: ignore[no-untyped-def]
    """Who of the members knew whom before a moment, and what they have in common."""
    n = len(members)
    for i in range(2 * n):
        values[i] = 0.0  # how many others each knew, then how many each has paid
    apart = known = together = linked = 0
    common = 0.0
    for i in range(n):
        for j in range(i):
            a, b = members[i], members[j]
            there = _first_of_pair(links, table, ends, members, i, j, ids)
            back = _first_of_pair(links, table, ends, members, j, i, ids)
            values[n + i] += there < _NEVER
            values[n + j] += back < _NEVER
            share = _in_common(ids, i, j)
            common += share
            if _deal(hops, a, b):
                together += 1
                linked += share > 0
            else:
                apart += 1
                knew = min(there, back) < begins
                known += knew
                values[i] += knew
                values[j] += knew
    some = paying = 0
    for i in range(n):
        some += values[i] > 0
        paying += values[n + i] > 0
    out[WITH_ACQUAINTANCES], out[PAYING_MEMBERS] = some / n, paying / n
    if apart > 0:
        out[ACQUAINTED] = known / apart
    if apart + together > 0:
        out[COMMON] = common / (apart + together)
    if together > 0:
        out[COMMON_OF_PAIRS] = linked / together


@_inner
def _deal(hops, one, other):  # type: ignore[no-untyped-def]
    """Whether two deal with each other in the witness."""
    for k in range(len(hops)):
        source, target = hops[k, H_SOURCE], hops[k, H_TARGET]
        if (source == one and target == other) or (source == other and target == one):
            return True
    return False


@_inner
def _tried(edges, links, table, ends, hops, values, out):  # type: ignore[no-untyped-def]
    """Days from the first payment of a pair to its first step, where that was not the first."""
    count = 0
    for i in range(len(hops)):
        source, target, again = hops[i, H_SOURCE], hops[i, H_TARGET], False
        for j in range(i):
            again = again or (hops[j, H_SOURCE] == source and hops[j, H_TARGET] == target)
        if source >= 0 and target >= 0 and edges.account_kind[target] == _USER and not again:
            first = _first_paid(links, table, ends, source, target)
            if first < hops[i, H_TIME]:
                values[count] = (hops[i, H_TIME] - first) / DAY
                count += 1
    if count > 0:
        ascend(values, count)
        out[TRIED_LEAST], out[TRIED_MEDIAN] = values[0], middle(values, count)
