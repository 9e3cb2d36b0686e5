"""The compiled half of the context of evidence: what is known about those it names.

Reads the window, the profiles of accounts and the state of the features; writes only `out` and the
scratch arrays it is given. What the places of `out` mean is `scorer.evidence_context.NAMES`.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import xxhash

from graph import kernels, profiles
from graph.compiled import kernel
from graph.heuristics import rules
from graph.kernels import KIND_CARD, KIND_DEVICE, KIND_IP, KIND_MERCHANT
from graph.profiles import FIRST, GENERATION
from graph.transaction import DAY
from scorer import acquaintance_kernel, feature_kernels, locality_kernel, rank_kernel
from scorer.acquaintance_kernel import (
    ACQUAINTANCES,
    H_SOURCE,
    H_TARGET,
    H_TIME,
    H_VALUE,
    acquaintances,
)
from scorer.feature_kernels import (
    L_FRAUD,
    L_KNOWN,
    O_COUNT,
    O_DECLINED,
    O_NEW_USERS,
    O_TRIED,
    O_USERS,
    U_AVERAGE,
    U_COUNT,
    U_DECLINED,
    U_NEW_OTHERS,
    U_OTHERS,
    U_TRIED,
)
from scorer.locality_kernel import LOCALITY, locality
from scorer.rank_kernel import ascend, middle

MOST_MEMBERS: Final = 32
"""Users looked at, in the order in which the evidence names them."""
MOST_HOPS: Final = 64
"""Steps of the witness looked at, the newest."""
MOST_EDGES: Final = 32
"""Transactions of a member looked at in each direction, the newest."""
MOST_LINKS: Final = 16
"""Identifiers of a member looked at, those met last first."""
MOST_SHARERS: Final = 32
"""Users of an identifier counted."""
RARE: Final = 8
"""An address with more users than this joins nobody: a carrier, an office, a campus."""
SCRATCH: Final = max(MOST_MEMBERS * MOST_LINKS, acquaintance_kernel.SCRATCH)

TAIL, CUTOFF, LINK_TAIL, LINK_END, NOW, BEGAN = range(6)
MEMBERS_END, HOPS_END, SEEN_AT = range(3)

_MERCHANT: Final = KIND_MERCHANT
_TEST: Final = 0.2  # a payment of a fifth or less beforehand tries whether the way is open
_ROUND: Final = 1_000  # ten whole units

FIGURES: Final = 65 + ACQUAINTANCES + LOCALITY

_inner: Final = kernel(cache=False)  # compiled anew whenever `context` is


@_inner
def _spread(values, count, out, at):  # type: ignore[no-untyped-def]
    """Least, median and greatest of `values[:count]`, which is sorted in place; NaN of none."""
    ascend(values, count)
    for k in range(3):
        out[at + k] = np.nan
    if count > 0:
        out[at] = values[0]
        out[at + 1] = middle(values, count)
        out[at + 2] = values[count - 1]
    return at + 3


@_inner
def _stat(state, account, place):  # type: ignore[no-untyped-def]
    """A figure of an account's features; 0 of one whose row is another's."""
    if account < 0 or state.account_generation[account] != state.account_given[account]:
        return 0.0
    return state.account_stat[account, place]


@_inner
def _age(state, users, account, now):  # type: ignore[no-untyped-def]
    """Days since an account was opened or first acted, 0 of one that never did."""
    if account >= users.shape[0] or users[account, GENERATION] != state.account_given[account]:
        return 0.0
    return max(now - users[account, FIRST], 0) / DAY


@_inner
def _acts(state, account):  # type: ignore[no-untyped-def]
    return _stat(state, account, U_COUNT) + _stat(state, account, O_COUNT)


@_inner
def _days(age, ends):  # type: ignore[no-untyped-def]
    """Days in which an account of this age could be seen, at least one."""
    return max(1.0, min(age, (ends[NOW] - ends[BEGAN]) / DAY))


@_inner
def accounts(state, users, ends, members, values, out, at):  # type: ignore[no-untyped-def]
    """Age, activity and acquaintances: of all members, then of the centre."""
    n = len(members)
    for k in range(5):
        for i in range(n):
            account = members[i]
            age = _age(state, users, account, ends[NOW])
            if k == 0:
                values[i] = age
            elif k == 1:
                values[i] = np.log1p(_acts(state, account))
            elif k == 2:
                values[i] = _acts(state, account) / _days(age, ends)
            elif k == 3:
                values[i] = _stat(state, account, U_OTHERS)
            else:
                values[i] = _stat(state, account, O_USERS)
        at = _spread(values, n, out, at)
    for k in range(5):
        out[at + k] = np.nan
    if n > 0:
        centre = members[0]
        age = _age(state, users, centre, ends[NOW])
        out[at] = _stat(state, centre, U_OTHERS)
        out[at + 1] = _stat(state, centre, O_USERS)
        out[at + 2] = np.log1p(_acts(state, centre))
        out[at + 3] = age
        out[at + 4] = _stat(state, centre, O_USERS) / _days(age, ends)
    return at + 5


@_inner
def _share(state, account, some, all_):  # type: ignore[no-untyped-def]
    """One figure of an account's features as a share of another, 0 of nothing."""
    whole = _stat(state, account, all_)
    return _stat(state, account, some) / whole if whole > 0 else 0.0


@_inner
def novelty(state, members, values, out, at):  # type: ignore[no-untyped-def]
    """How many of whom they pay and are paid by are new, and what of their trying was declined."""
    n = len(members)
    for k in range(4):
        for i in range(n):
            if k == 0:
                values[i] = _share(state, members[i], U_NEW_OTHERS, U_OTHERS)
            elif k == 1:
                values[i] = _share(state, members[i], O_NEW_USERS, O_USERS)
            elif k == 2:
                values[i] = _share(state, members[i], U_DECLINED, U_TRIED)
            else:
                values[i] = _share(state, members[i], O_DECLINED, O_TRIED)
        centre = values[0] if n > 0 else np.nan
        at = _spread(values, n, out, at)
        out[at] = centre
        at += 1
    return at


@_inner
def pairs(links, table, ends, hops, values, out, at):  # type: ignore[no-untyped-def]
    """How well those who dealt with each other in the witness knew each other before it."""
    for k in range(6):
        out[at + k] = np.nan
    seen = fresh = back = known = 0
    times = 0.0
    for i in range(len(hops)):
        source, target = hops[i, H_SOURCE], hops[i, H_TARGET]
        if source < 0 or target < 0:
            continue
        again = False
        for j in range(i):
            again = again or (hops[j, H_SOURCE] == source and hops[j, H_TARGET] == target)
        if again:
            continue
        seen += 1
        p = kernels.find_link(links, table, source, -2 - target, ends[LINK_TAIL], ends[LINK_END])
        if p >= 0:
            s = kernels.slot(links.pages, p)
            times += links.count[s]
            fresh += links.first[s] >= hops[0, H_TIME]
            values[known] = max(ends[NOW] - links.first[s], 0) / DAY
            known += 1
        else:
            fresh += 1
        p = kernels.find_link(links, table, target, -2 - source, ends[LINK_TAIL], ends[LINK_END])
        if p >= 0:
            back += links.first[kernels.slot(links.pages, p)] < hops[0, H_TIME]
    if seen > 0:
        out[at] = fresh / seen
        out[at + 1] = back / seen
        out[at + 2] = times / seen
        _spread(values, known, out, at + 3)
    return at + 6


@_inner
def _sharers(links, tail, newest, most, members):  # type: ignore[no-untyped-def]
    """Users of an identifier, at most `most`, and how many of these are no members."""
    count, outside, position = 0, 0, newest
    while position >= tail and count < most:
        s = kernels.slot(links.pages, position)
        mine = False
        for i in range(len(members)):
            mine = mine or members[i] == links.user[s]
        count, outside = count + 1, outside + (not mine)
        if links.back_entity[s] == 0:
            break
        position -= links.back_entity[s]
    return count, outside


@_inner
def _identifiers(links, tail, members, ids):  # type: ignore[no-untyped-def]
    """Fill `ids` with the identifiers of the members, sorted; returns how many."""
    count = 0
    for i in range(len(members)):
        position, looked = links.newest_of_user[members[i]], 0
        while position >= tail and looked < MOST_LINKS:
            s = kernels.slot(links.pages, position)
            if links.entity[s] >= 0:
                x, j = links.entity[s], count
                while j > 0 and ids[j - 1] > x:
                    ids[j] = ids[j - 1]
                    j -= 1
                ids[j] = x
                count += 1
                looked += 1
            if links.back_user[s] == 0:
                break
            position -= links.back_user[s]
    return count


@_inner
def sharing(links, kinds, ends, members, ids, out, at):  # type: ignore[no-untyped-def]
    """How many members one device, one rare address or one card joins, and who else is on them."""
    n, tail = len(members), ends[LINK_TAIL]
    count = _identifiers(links, tail, members, ids)
    device = device_users = address = card = outsiders = i = 0
    while i < count:
        j = i
        while j < count and ids[j] == ids[i]:
            j += 1
        joined, kind, newest = j - i, kinds[ids[i]], links.newest_of_identifier[ids[i]]
        i = j
        if kind == KIND_CARD:
            card = max(card, joined)
        elif kind == KIND_IP:
            if joined > address and _sharers(links, tail, newest, RARE + 1, members)[0] <= RARE:
                address = joined
        elif kind == KIND_DEVICE:
            users, others = _sharers(links, tail, newest, MOST_SHARERS, members)
            if users < MOST_SHARERS:
                outsiders += others
            if joined > device or (joined == device and users < device_users):
                device, device_users = joined, users
    out[at] = device
    out[at + 1] = device_users if device > 1 else 0
    out[at + 2] = device / max(1, n)
    out[at + 3] = address
    out[at + 4] = card
    out[at + 5] = outsiders / max(1, n)
    return at + 6


@_inner
def flows(edges, ends, members, money, out, at):  # type: ignore[no-untyped-def]
    """Money of the members within the window: paid in, sent round, taken out; O(members x 64)."""
    paid_in = taken_out = received = sent = 0.0
    moves = outside = 0
    for i in range(len(members)):
        for inward in range(2):
            newest = edges.newest_in if inward else edges.newest_out
            back = edges.back_in if inward else edges.back_out
            position, looked = newest[members[i]], 0
            while position >= ends[TAIL] and looked < MOST_EDGES:
                s = kernels.slot(edges.pages, position)
                if edges.time[s] < ends[CUTOFF]:
                    break
                looked += 1
                value = edges.value[s]
                other = edges.source[s] if inward else edges.target[s]
                if value > 0:
                    moves += 1
                    if other < 0:
                        paid_in += value * inward
                        taken_out += value * (1 - inward)
                    elif edges.account_kind[other] != _MERCHANT:
                        received += value * inward
                        sent += value * (1 - inward)
                        mine = False
                        for j in range(len(members)):
                            mine = mine or members[j] == other
                        outside += not mine
                if back[s] == 0:
                    break
                position -= back[s]
    out[at] = taken_out / max(1.0, received)
    out[at + 1] = paid_in / max(1.0, sent)
    out[at + 2] = np.log1p(taken_out)
    out[at + 3] = np.log1p(paid_in)
    out[at + 4] = taken_out / max(1.0, money)
    out[at + 5] = paid_in / max(1.0, money)
    out[at + 6] = outside / max(1, moves)
    out[at + 7] = moves / max(1, len(members))
    return at + 8


@_inner
def amounts(state, edges, ends, hops, values, out, at):  # type: ignore[no-untyped-def]
    """The witness's amounts: against what their senders usually pay, and among themselves."""
    n, count = len(hops), 0
    for k in range(7):
        out[at + k] = np.nan
    for i in range(n):
        usual = _stat(state, hops[i, H_SOURCE], U_AVERAGE)
        if usual > 0:
            values[count] = hops[i, H_VALUE] / usual
            count += 1
    _spread(values, count, out, at)
    if n == 0:
        return at + 7
    distinct = whole = tried = 0
    most = 0.0
    for i in range(n):
        value, again = hops[i, H_VALUE], False
        for j in range(i):
            again = again or hops[j, H_VALUE] == value
        distinct += not again
        whole += value % _ROUND == 0
        most = max(most, value)
        if hops[i, H_SOURCE] >= 0:
            tried += _is_tried(edges, ends, hops[i])
    out[at + 3] = distinct / n
    out[at + 4] = whole / n
    out[at + 5] = np.log1p(most)
    out[at + 6] = tried / n
    return at + 7


@_inner
def _is_tried(edges, ends, hop):  # type: ignore[no-untyped-def]
    """Whether the same way was tried with a small sum before, within the window."""
    position, looked = edges.newest_out[hop[H_SOURCE]], 0
    while position >= ends[TAIL] and looked < MOST_EDGES:
        s = kernels.slot(edges.pages, position)
        if edges.time[s] < ends[CUTOFF]:
            break
        looked += 1
        small = 0 < edges.value[s] < _TEST * hop[H_VALUE]
        if small and edges.target[s] == hop[H_TARGET] and edges.time[s] < hop[H_TIME]:
            return True
        if edges.back_out[s] == 0:
            break
        position -= edges.back_out[s]
    return False


@_inner
def known(state, members, out, at):  # type: ignore[no-untyped-def]
    """Shares of the members of whom a fraud, and of whom nothing but honest deeds, is known."""
    bad = good = 0
    for i in range(len(members)):
        a = members[i]
        if state.account_generation[a] == state.account_given[a]:
            frauds = state.account_label[a, 0, L_FRAUD] + state.account_label[a, 1, L_FRAUD]
            labels = state.account_label[a, 0, L_KNOWN] + state.account_label[a, 1, L_KNOWN]
            bad += frauds > 0
            good += frauds == 0 and labels > 0
    out[at] = bad / max(1, len(members))
    out[at + 1] = good / max(1, len(members))
    return at + 2


@_inner
def _one(  # type: ignore[no-untyped-def]
    edges, links, link_table, kinds, state, users, seen, places, ends, members, hops, values, ids,
    out,
):  # fmt: skip
    """Fill the figures of one piece."""
    money = 0.0
    for i in range(len(hops)):
        money += hops[i, H_VALUE]
    at = accounts(state, users, ends, members, values, out, 0)
    at = pairs(links, link_table, ends, hops, values, out, at)
    at = sharing(links, kinds, ends, members, ids, out, at)
    at = flows(edges, ends, members, money, out, at)
    at = amounts(state, edges, ends, hops, values, out, at)
    at = known(state, members, out, at)
    at = novelty(state, members, values, out, at)
    of_links = ends[LINK_TAIL : LINK_END + 1]
    acquainted = out[at : at + ACQUAINTANCES]
    acquaintances(
        edges, links, link_table, of_links, ends[NOW], members, hops, values, ids, acquainted
    )
    at += ACQUAINTANCES
    locality(state.account_given, seen, places, members, hops, values, out[at:])


def _sources() -> int:
    """Hash of the other files whose kernels and constants are used in this one."""
    digest = xxhash.xxh32()
    mine = (acquaintance_kernel, locality_kernel, rank_kernel)
    for module in (kernels, profiles, rules, feature_kernels, *mine):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.intdigest()


def _compose(sources: int) -> Any:
    """The kernel. `sources` is in the key of numba's cache, which looks at this file alone."""

    @kernel
    def contexts(  # type: ignore[no-untyped-def]
        edges, links, link_table, kinds, state, users, seen, places, ends, members, hops, upto,
        values, ids, out, begin,
    ):  # fmt: skip
        """Fill `out`; mutates it, `ends` and the scratch arrays.

        Args:
            edges: Of the window.
            links: Likewise.
            link_table: Likewise.
            kinds: uint8, kind of each identifier.
            state: `scorer.feature_kernels.FeatureState`.
            users: Rows of `graph.profiles`.
            seen: int32[k], generation of each account seen at a place, 0 = none.
            places: float64[k, 2], that place, degrees.
            ends: int64[6]: `TAIL`, `CUTOFF`, `LINK_TAIL`, `LINK_END`, `BEGAN`; `NOW` is written.
            members: int64[n], ids of the users piece after piece, the centre first; of each at
                most `MOST_MEMBERS`.
            hops: int64[m, 4], piece after piece by time: source and target (-1 = none), value,
                time; of each at most `MOST_HOPS`.
            upto: int64[p, 3] by piece: `MEMBERS_END` and `HOPS_END`, where its members and hops
                end, and `SEEN_AT`.
            values: float64[max(MOST_MEMBERS, MOST_HOPS)], scratch.
            ids: int64[SCRATCH], scratch.
            out: float32[p, at least begin + FIGURES].
            begin: First column of the figures.
        """
        member = hop = 0 * sources
        for i in range(len(upto)):
            ends[NOW] = upto[i, SEEN_AT]
            of, steps = members[member : upto[i, MEMBERS_END]], hops[hop : upto[i, HOPS_END]]
            member, hop = upto[i, MEMBERS_END], upto[i, HOPS_END]
            figures = out[i, begin : begin + FIGURES]
            _one(
                edges, links, link_table, kinds, state, users, seen, places, ends, of, steps,
                values, ids, figures,
            )  # fmt: skip

    return contexts


contexts: Final = _compose(_sources())
