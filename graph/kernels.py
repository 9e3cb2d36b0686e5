"""The compiled hot loops of the window over columnar arrays, and nothing else.

Layout
------
The edge log and the link log are append-only logs addressed by an ever-growing *position*. Their
columns are cut into pages; `pages[logical page mod T]` names the physical page, so that memory
follows the live window and growth never copies. Inside the log, an edge refers to another by the
*distance* back to it (int32, 0 = none; negative only where a transaction arrived out of order).

Chains are ordered by (time, id hash), newest first, whatever the order of arrival. A walk along a
chain ends where the position falls below the tail, the time below the cutoff, or the distance is 0:
everything behind that point is older still, so eviction only has to move the tail.

Position tables are open-addressing hash tables from a 32-bit hash to a position, kept at a load of
at most 3/4 and grown a few buckets at a time, so that no single add pays for a rehash.

Kernels take arrays and scalars, allocate nothing, and say what they mutate. Numba's cache does not
notice a change of a callee in another file: from others only `slot` is called, and what the fast
path calls, which says so to the cache (`graph.fast_kernel`).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.compiled import kernel

PAGE_SHIFT: Final = 12
PAGE: Final = 1 << PAGE_SHIFT
PAGE_MASK: Final = PAGE - 1

KIND_USER: Final = 0
KIND_MERCHANT: Final = 1
KIND_DEVICE: Final = 2
KIND_IP: Final = 3
KIND_CARD: Final = 4

NONE: Final = -1
"""No such account, identifier or position; for money: outside the graph."""

TABLE_MODULUS: Final = 2**31 - 3
"""Positions are kept modulo this in a table; a log holds far fewer live entries."""

_EMPTY: Final = 0
_MOVED: Final = 1
_MIGRATE: Final = 8
_TIES: Final = 256

OVER_BUDGET: Final = -2


class EdgeLog(NamedTuple):
    """The money graph: one row an edge, columns indexed by `slot(pages, position)`.

    Attributes:
        pages: int32[T], T a power of two; physical page of a logical page.
        time: int64, epoch ms.
        value: int64, minor units of the base currency; negative = declined, no money moved.
        source: int32 account id, -1 = from outside.
        target: int32 account id, -1 = to outside.
        back_out: int32, distance to the previous edge out of `source`.
        back_in: int32, distance to the previous edge into `target`.
        back_pred: int32, distance to the newest edge into `source` with a time strictly before.
        id_hash: uint32 of the transaction id.
        newest_out: int64[A], position of the newest edge out of an account, 0 = none.
        newest_in: int64[A], position of the newest edge into an account, 0 = none.
        account_kind: uint8[A], KIND_USER or KIND_MERCHANT.
    """

    pages: NDArray[np.int32]
    time: NDArray[np.int64]
    value: NDArray[np.int64]
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    back_out: NDArray[np.int32]
    back_in: NDArray[np.int32]
    back_pred: NDArray[np.int32]
    id_hash: NDArray[np.uint32]
    newest_out: NDArray[np.int64]
    newest_in: NDArray[np.int64]
    account_kind: NDArray[np.uint8]


class LinkLog(NamedTuple):
    """Who was seen with what: one row a (user, identifier) or (user, other party) pair.

    Attributes:
        pages: int32[T], as in `EdgeLog`.
        user: int32 account id.
        entity: int32, an identifier id, or -2 - account id for the other party of a transaction.
        first: int64, epoch ms of the first sighting.
        last: int64, epoch ms of the newest sighting.
        appended: int64, watermark when the row was written or renewed.
        count: int32, sightings.
        back_user: int32, distance to the previous link of the user.
        back_entity: int32, distance to the previous link of the identifier (0 for other parties).
        key_hash: uint32 of the pair.
        newest_of_user: int64[A], position of the user's newest link, 0 = none.
        newest_of_identifier: int64[I], position of the identifier's newest link, 0 = none.
    """

    pages: NDArray[np.int32]
    user: NDArray[np.int32]
    entity: NDArray[np.int32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    appended: NDArray[np.int64]
    count: NDArray[np.int32]  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    back_user: NDArray[np.int32]
    back_entity: NDArray[np.int32]
    key_hash: NDArray[np.uint32]
    newest_of_user: NDArray[np.int64]
    newest_of_identifier: NDArray[np.int64]


class PositionTable(NamedTuple):
    """A hash table of positions, and the smaller one it is still being filled from.

    Attributes:
        slots: int32[power of two]; 0 = empty, else position modulo `TABLE_MODULUS`, plus 2.
        old: int32[power of two], the table before the last growth; 1 = moved.
        state: int64[2]: entries held in both, next bucket of `old` to move (-1 = none left).
    """

    slots: NDArray[np.int32]
    old: NDArray[np.int32]
    state: NDArray[np.int64]


@kernel(inline="always")
def slot(pages, position):
    """Row of a position in the columns."""
    page = pages[(position >> PAGE_SHIFT) & (pages.shape[0] - 1)]
    return (np.int64(page) << PAGE_SHIFT) | (position & PAGE_MASK)


@kernel
def _position(code, end):
    """Position that a table's code stands for, given that it is live."""
    return end - ((end - (code - 2)) % TABLE_MODULUS)


@kernel
def _mixed(key):
    """Spread a 64-bit key (finaliser of MurmurHash3)."""
    h = np.uint64(key)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> np.uint64(33)
    return np.uint32(h & np.uint64(0xFFFFFFFF))


@kernel
def _put(slots, h, position):
    mask = slots.shape[0] - 1
    i = np.int64(h) & mask
    while slots[i] != _EMPTY:
        i = (i + 1) & mask
    slots[i] = np.int32(position % TABLE_MODULUS + 2)


@kernel
def find_edge(edges, table, h, tail, end, skip):
    """Position of the live edge number `skip` whose id hashes to `h`, or -1. Mutates nothing."""
    for generation in range(2):
        slots = table.slots if generation == 0 else table.old
        if generation == 1 and table.state[1] < 0:
            break
        mask = slots.shape[0] - 1
        i = np.int64(h) & mask
        while slots[i] != _EMPTY:
            if slots[i] != _MOVED:
                position = _position(slots[i], end)
                if position >= tail and edges.id_hash[slot(edges.pages, position)] == h:
                    if skip == 0:
                        return position
                    skip -= 1
            i = (i + 1) & mask
    return np.int64(NONE)


@kernel
def _delete(slots, i, pages, hashes, end):
    """Empty bucket `i` and close the gap (backward shift). Mutates `slots`."""
    mask = slots.shape[0] - 1
    j = i
    while True:
        j = (j + 1) & mask
        if slots[j] == _EMPTY:
            break
        home = np.int64(hashes[slot(pages, _position(slots[j], end))]) & mask
        if ((j - home) & mask) >= ((j - i) & mask):
            slots[i] = slots[j]
            i = j
    slots[i] = _EMPTY


@kernel
def _forget(pages, hashes, table, position, end):
    """Take a live position out of its table. Mutates the table."""
    code = np.int32(position % TABLE_MODULUS + 2)
    h = hashes[slot(pages, position)]
    mask = table.slots.shape[0] - 1
    i = np.int64(h) & mask
    while table.slots[i] != _EMPTY:
        if table.slots[i] == code:
            _delete(table.slots, i, pages, hashes, end)
            table.state[0] -= 1
            return
        i = (i + 1) & mask
    if table.state[1] >= 0:
        mask = table.old.shape[0] - 1
        i = np.int64(h) & mask
        while table.old[i] != _EMPTY:
            if table.old[i] == code:
                table.old[i] = _MOVED
                table.state[0] -= 1
                return
            i = (i + 1) & mask


@kernel
def _enter(pages, hashes, table, position):
    """Put a new position into its table and move a few buckets out of the old one.

    Mutates the table.
    """
    _put(table.slots, hashes[slot(pages, position)], position)
    table.state[0] += 1
    if table.state[1] < 0:
        return
    for _ in range(_MIGRATE):
        i = table.state[1]
        if i >= table.old.shape[0]:
            table.state[1] = -1
            return
        code = table.old[i]
        if code > _MOVED:
            moved = _position(code, position + 1)
            _put(table.slots, hashes[slot(pages, moved)], moved)
            table.old[i] = _MOVED
        table.state[1] = i + 1


@kernel
def evict_edges(edges, table, tail, end, cutoff, most):
    """Move the tail over at most `most` edges older than the cutoff; returns the new tail.

    Mutates the table. What is not reached now is behind the cutoff for every walk all the same.
    """
    for _ in range(most):
        if tail >= end or edges.time[slot(edges.pages, tail)] >= cutoff:
            break
        _forget(edges.pages, edges.id_hash, table, tail, end)
        tail += 1
    return tail


@kernel
def _place(edges, back, head, tail, time, h, budget):
    """Where an edge belongs in a chain: (its newer neighbour or -1, its older one, steps).

    Ties are ordered by hash; beyond `_TIES` of them (a payroll with one timestamp) the newcomer
    goes on top of the ties instead. Mutates nothing.
    """
    newer = np.int64(NONE)
    older = head
    steps = 0
    ties = 0
    above_ties = newer
    top_tie = older
    while older >= tail:
        s = slot(edges.pages, older)
        if edges.time[s] < time or (edges.time[s] == time and edges.id_hash[s] < h):
            break
        if edges.time[s] == time:
            if ties == 0:
                above_ties = newer
                top_tie = older
            ties += 1
            if ties > _TIES:
                return above_ties, top_tie, steps
        steps += 1
        if steps > budget:
            return np.int64(OVER_BUDGET), older, steps
        newer = older
        distance = back[s]
        if distance == 0:
            older = np.int64(NONE)
            break
        older -= distance
    if older < tail:
        older = np.int64(NONE)
    return newer, older, steps


@kernel
def _splice(edges, back, heads, account, position, newer, older):
    """Put an edge between its neighbours in a chain. Mutates `back` and `heads`."""
    back[slot(edges.pages, position)] = 0 if older < 0 else position - older
    if newer < 0:
        heads[account] = position
    else:
        back[slot(edges.pages, newer)] = newer - position


@kernel
def append_edge(edges, table, tail, end, time, value, source, target, h, in_order, budget):
    """Write the edge at position `end` and tie it into its chains.

    The page of `end` must exist and the table have room. Mutates edges and table.

    Returns:
        0 appended, 1 appended beneath newer edges of its accounts (disordered), 2 refused: it
        belongs more than `budget` edges deep in a chain of its accounts.
    """
    newer_out = older_out = newer_in = older_in = np.int64(NONE)
    disordered = 0
    if source >= 0:
        newer_out, older_out, steps = _place(
            edges, edges.back_out, edges.newest_out[source], tail, time, h, budget
        )
        if newer_out == OVER_BUDGET:
            return 2
        disordered |= steps > 0
    if target >= 0:
        newer_in, older_in, steps = _place(
            edges, edges.back_in, edges.newest_in[target], tail, time, h, budget
        )
        if newer_in == OVER_BUDGET:
            return 2
        disordered |= steps > 0

    # The newest edge into the source strictly before this one. Where more than `budget` edges tie
    # with it, the distance leads to one of the ties: walks compare times and step over them.
    pred = np.int64(NONE)
    if source >= 0:
        pred = edges.newest_in[source]
        for _ in range(budget):
            if pred < tail:
                pred = np.int64(NONE)
                break
            s = slot(edges.pages, pred)
            if edges.time[s] < time:
                break
            disordered |= edges.time[s] > time
            distance = edges.back_in[s]
            if distance == 0:
                pred = np.int64(NONE)
                break
            pred -= distance

    s = slot(edges.pages, end)
    edges.time[s] = time
    edges.value[s] = value
    edges.source[s] = source
    edges.target[s] = target
    edges.id_hash[s] = h
    edges.back_out[s] = 0
    edges.back_in[s] = 0
    edges.back_pred[s] = 0 if pred < 0 else end - pred
    if source >= 0:
        _splice(edges, edges.back_out, edges.newest_out, source, end, newer_out, older_out)
    if target >= 0:
        _splice(edges, edges.back_in, edges.newest_in, target, end, newer_in, older_in)

    # Out of order: it may be the predecessor that later edges out of its target were missing.
    if not in_order and target >= 0:
        later = edges.newest_out[target]
        for _ in range(budget):
            if later < tail:
                break
            g = slot(edges.pages, later)
            if edges.time[g] <= time:
                break
            disordered = 1
            known = later - edges.back_pred[g]
            if edges.back_pred[g] == 0 or known < tail:
                edges.back_pred[g] = later - end
            else:
                k = slot(edges.pages, known)
                if edges.time[k] < time or (edges.time[k] == time and edges.id_hash[k] < h):
                    edges.back_pred[g] = later - end
            if edges.back_out[g] == 0:
                break
            later -= edges.back_out[g]

    _enter(edges.pages, edges.id_hash, table, end)
    return 1 if disordered else 0


@kernel
def later_edges(edges, tail, position, hops, budget, out):
    """Later edges whose evidence an edge that arrived out of order may change.

    Those of its two accounts, and those that its money can have reached within `hops` hops.
    Fills `out` (int64[n]); returns (how many, 1 if a bound was hit). Mutates `out` only.
    """
    count = 0
    scanned = 0
    e = slot(edges.pages, position)
    for side in range(4):
        account = edges.source[e] if side < 2 else edges.target[e]
        if account < 0:
            continue
        outgoing = side % 2 == 0
        p = edges.newest_out[account] if outgoing else edges.newest_in[account]
        while p >= tail:
            s = slot(edges.pages, p)
            if edges.time[s] < edges.time[e]:
                break
            scanned += 1
            if scanned > budget:
                return count, 1
            count, full = _include(out, count, p, position)
            if full:
                return count, 1
            distance = edges.back_out[s] if outgoing else edges.back_in[s]
            if distance == 0:
                break
            p -= distance
    start = 0
    for _ in range(hops):
        stop = count
        for i in range(start, stop):
            f = slot(edges.pages, out[i])
            account = edges.target[f]
            if account < 0:
                continue
            p = edges.newest_out[account]
            while p >= tail:
                s = slot(edges.pages, p)
                if edges.time[s] <= edges.time[f]:
                    break
                scanned += 1
                if scanned > budget:
                    return count, 1
                count, full = _include(out, count, p, position)
                if full:
                    return count, 1
                if edges.back_out[s] == 0:
                    break
                p -= edges.back_out[s]
        start = stop
    return count, 0


@kernel
def _include(out, count, p, position):
    """Add a position once; returns (count, whether there was no room). Mutates `out`."""
    if p == position:
        return count, False
    for i in range(count):
        if out[i] == p:
            return count, False
    if count >= out.shape[0]:
        return count, True
    out[count] = p
    return count + 1, False


@kernel
def link_key(user, entity):
    """Hash of a pair."""
    return _mixed((np.int64(user) << 32) ^ (np.int64(entity) & 0xFFFFFFFF))


@kernel
def find_link(links, table, user, entity, tail, end):
    """Position of a pair's link or -1. Mutates nothing."""
    h = link_key(user, entity)
    for generation in range(2):
        slots = table.slots if generation == 0 else table.old
        if generation == 1 and table.state[1] < 0:
            break
        mask = slots.shape[0] - 1
        i = np.int64(h) & mask
        while slots[i] != _EMPTY:
            if slots[i] != _MOVED:
                position = _position(slots[i], end)
                s = slot(links.pages, position)
                if position >= tail and links.user[s] == user and links.entity[s] == entity:
                    return position
            i = (i + 1) & mask
    return np.int64(NONE)


@kernel
def _append_link(links, table, tail, end, user, entity, first, last, count, mark):
    """Write a link at position `end` and tie it into its chains. Mutates links and table."""
    s = slot(links.pages, end)
    links.user[s] = user
    links.entity[s] = entity
    links.first[s] = first
    links.last[s] = last
    links.appended[s] = mark
    links.count[s] = count
    before = links.newest_of_user[user]
    links.back_user[s] = end - before if before >= tail else 0
    links.newest_of_user[user] = end
    links.back_entity[s] = 0
    if entity >= 0:
        before = links.newest_of_identifier[entity]
        links.back_entity[s] = end - before if before >= tail else 0
        links.newest_of_identifier[entity] = end
    links.key_hash[s] = link_key(user, entity)
    _enter(links.pages, links.key_hash, table, end)


@kernel
def read_links(links, table, tail, end, oldest, user, entities, seen):
    """Fill `seen` (int64[4, 3]: count, first, last) for the pairs of a user. Mutates `seen`."""
    for k in range(entities.shape[0]):
        seen[k, 0] = 0
        seen[k, 1] = 0
        seen[k, 2] = 0
        if user < 0 or entities[k] == NONE:
            continue
        position = find_link(links, table, user, entities[k], tail, end)
        if position >= 0:
            s = slot(links.pages, position)
            if links.last[s] >= oldest:
                seen[k, 0] = links.count[s]
                seen[k, 1] = links.first[s]
                seen[k, 2] = links.last[s]


@kernel
def touch_links(links, table, tail, end, oldest, mark, user, entities, time, seen):
    """Note that a user was seen with up to four entities; returns the new end.

    `seen` gets what was known before, as from `read_links`. A pair unseen since `oldest` starts
    anew. Room for four rows and four table entries must exist. Mutates links, table and `seen`.
    """
    read_links(links, table, tail, end, oldest, user, entities, seen)
    if user < 0:
        return end
    for k in range(entities.shape[0]):
        entity = entities[k]
        if entity == NONE:
            continue
        position = find_link(links, table, user, entity, tail, end)
        if position < 0:
            _append_link(links, table, tail, end, user, entity, time, time, 1, mark)
            end += 1
            continue
        s = slot(links.pages, position)
        if seen[k, 0] == 0:
            links.first[s] = time
            links.last[s] = time
            links.count[s] = 1
        else:
            links.first[s] = min(links.first[s], time)
            links.last[s] = max(links.last[s], time)
            links.count[s] += 1
    return end


@kernel
def expire_links(links, table, tail, end, oldest, mark, most, pressed):
    """Move the tail over links unseen since `oldest`; returns (tail, end).

    A link that is old but in use is written again at the end, so that it does not hold up those
    behind it; where `pressed`, it is given up instead. At most `most` links a call, and room for
    as many must exist. Mutates links and table.
    """
    for _ in range(most):
        if tail >= end:
            break
        s = slot(links.pages, tail)
        if links.appended[s] >= oldest and not pressed:
            break
        _forget(links.pages, links.key_hash, table, tail, end)
        user, entity = links.user[s], links.entity[s]
        first, last, count = links.first[s], links.last[s], links.count[s]
        tail += 1
        if last >= oldest and not pressed:
            _append_link(links, table, tail, end, user, entity, first, last, count, mark)
            end += 1
    return tail, end


@kernel
def index_log(pages, hashes, table, tail, end):
    """Fill an empty table of enough size with all live positions. Mutates the table."""
    for position in range(tail, end):
        _put(table.slots, hashes[slot(pages, position)], position)
        table.state[0] += 1


# Places in `spans`, the moving ends of both logs.
TAIL: Final = 0
END: Final = 1
LINK_TAIL: Final = 2
LINK_END: Final = 3


@kernel
def admit(
    edges,
    edge_table,
    links,
    link_table,
    spans,
    time,
    value,
    source,
    target,
    h,
    in_order,
    cutoff,
    evict_most,
    budget,
    user,
    entities,
    oldest,
    mark,
    expire_most,
    pressed,
    seen,
):
    """Evict what is too old, append the edge, note the links: one call an accepted transaction.

    Mutates everything that `evict_edges`, `append_edge`, `expire_links` and `touch_links` do, and
    `spans` (int64[4]: TAIL, END, LINK_TAIL, LINK_END). Returns what `append_edge` returns.
    """
    spans[TAIL] = evict_edges(edges, edge_table, spans[TAIL], spans[END], cutoff, evict_most)
    outcome = append_edge(
        edges, edge_table, spans[TAIL], spans[END], time, value, source, target, h, in_order, budget
    )
    if outcome == 2:
        return outcome
    spans[END] += 1
    spans[LINK_TAIL], spans[LINK_END] = expire_links(
        links, link_table, spans[LINK_TAIL], spans[LINK_END], oldest, mark, expire_most, pressed
    )
    spans[LINK_END] = touch_links(
        links,
        link_table,
        spans[LINK_TAIL],
        spans[LINK_END],
        oldest,
        mark,
        user,
        entities,
        time,
        seen,
    )
    return outcome
