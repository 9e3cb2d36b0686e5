"""The kernel of the fast path: rows into the window, until one is not its business.

What the rows are and why it stops is told in `graph.fast_path`. `_speakers` is the twin of the
heuristics, kernel for kernel with the same limits: it may take for a speaker who has nothing to
say, never the other way round.
"""

from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from graph import account_kernel, heuristics, kernels, window
from graph.compiled import kernel
from graph.heuristics import (
    EVERYBODY,
    Speaker,
    acquaintance,
    chain,
    cycle,
    fan,
    identity,
    layer_search,
    pass_through,
    rules,
    scatter_gather,
    structuring,
    tree_search,
    unfinished,
)
from graph.heuristics.structuring import JustUnder
from graph.kernels import NONE
from graph.layout import (
    ASIDE,
    CARD,
    DEVICE,
    HASH,
    INWARD,
    IP,
    LENGTH,
    LINKS,
    OTHER,
    TIME,
    USER,
    VALUE,
    WATERMARK,
)
from graph.window import (
    CUTOFF,
    DISORDER_BUDGET,
    EDGE_PAGES,
    END,
    EVICT_MOST,
    EXPIRE_MOST,
    FLOOR,
    LINK_END,
    LINK_PAGES,
    LINK_TAIL,
    NOW,
    TAIL,
    TEXT,
    WITNESSES,
)

_TRAVEL: Final = int(Speaker.TRAVEL)
_VELOCITY: Final = int(Speaker.VELOCITY)
_CYCLES: Final = int(Speaker.CYCLES)
_MULES: Final = int(Speaker.MULES)
_FANS: Final = int(Speaker.FANS)
_COLLECTORS: Final = int(Speaker.COLLECTORS)
_CHAINS: Final = int(Speaker.CHAINS)
_SCATTERED: Final = int(Speaker.SCATTERED)
_GATHERED: Final = int(Speaker.GATHERED)
_LAYERS: Final = int(Speaker.LAYERS)
_TREES: Final = int(Speaker.TREES)
_STRUCTURING: Final = int(Speaker.STRUCTURING)
_SHARING: Final = int(Speaker.SHARING)
DISORDERED: Final = EVERYBODY + 1
"""Beside the speakers in `ASIDE`: the row arrived beneath newer edges of its accounts."""

UNKNOWN: Final = -2
"""In a laid out row: an entity that is named, and has no id yet."""


class Stop(IntEnum):
    """Why the kernel stopped at a row; see the module. `NOTHING`: there are no more."""

    NOTHING = 0
    ATTENTION = 1
    ADMITTED = 2
    REFUSED = 3
    NEWCOMER = 4
    DUE = 5


class Limits(NamedTuple):
    """What the kernel compares with: thresholds, spans already bounded by what the window holds."""

    lateness: int
    ahead: int
    horizon: int
    retention: int
    max_edges: int
    max_links: int
    velocity_attempts: int
    velocity_within: int
    travel_km: float
    cycle_within: int
    cycle_ratio_least: float
    cycle_ratio_most: float
    cycle_hops: int
    cycle_scan: int
    mule_within: int
    mule_passes_on: float
    mule_dwell: int
    fan_within: int
    fan_counterparties: int
    fan_fresh_share: float
    fan_passes_on: float
    acquaintance_scan: int
    chain_within: int
    chain_hops: int
    chain_keeps: float
    chain_scan: int
    relay_within: int
    relay_intermediaries: int
    relay_passes_on: float
    relay_scan: int
    layer_within: int
    layer_side: int
    layer_density: float
    layer_accounts: int
    layer_scan: int
    stack_accounts: int
    tree_within: int
    tree_span: int
    tree_carries: float
    tree_passes_on: float
    tree_accounts: int
    tree_scan: int
    structuring_within: int
    structuring: JustUnder
    ip_users: int
    witness: int


class Told(NamedTuple):
    """Sizes at which each pattern is told, as uint8 tables by size."""

    mule: NDArray[np.uint8]
    fan: NDArray[np.uint8]
    collector: NDArray[np.uint8]
    layers: NDArray[np.uint8]
    trees: NDArray[np.uint8]
    structuring: NDArray[np.uint8]
    device: NDArray[np.uint8]
    card: NDArray[np.uint8]
    ip: NDArray[np.uint8]


class Scratch(NamedTuple):
    """What the searches write and nobody reads; but for `unfinished`, which is remembered."""

    entities: NDArray[np.int64]
    seen: NDArray[np.int64]
    attempts: NDArray[np.int64]
    cycles: NDArray[np.int64]
    hops: NDArray[np.int64]
    path: NDArray[np.int64]
    ins: NDArray[np.int64]
    outs: NDArray[np.int64]
    senders: NDArray[np.int64]
    crowd_senders: NDArray[np.int64]
    flows: NDArray[np.int64]
    crowds: NDArray[np.int64]
    crowd: NDArray[np.int32]
    others: NDArray[np.int64]
    known: NDArray[np.bool_]
    chain: NDArray[np.int64]
    chain_path: NDArray[np.int64]
    sources: NDArray[np.int64]
    hands: NDArray[np.int64]
    legs: NDArray[np.int64]
    sides: NDArray[np.int64]
    bits: NDArray[np.int64]
    pairs: NDArray[np.int64]
    tree: NDArray[np.int64]
    tree_hops: NDArray[np.int64]
    tree_ins: NDArray[np.int64]
    tree_outs: NDArray[np.int64]
    just_under: NDArray[np.int64]
    paid_in: NDArray[np.int64]
    links: NDArray[np.int64]
    there: NDArray[np.int64]
    joined: NDArray[np.int64]
    unfinished: NDArray[np.int64]


def _sources() -> int:
    """Hash of the files whose kernels and constants are used in this one."""
    digest = xxhash.xxh32()
    for module in (
        kernels, window, heuristics, acquaintance, chain, cycle, fan, identity, layer_search,
        pass_through, rules, scatter_gather, structuring, tree_search, unfinished,
    ):  # fmt: skip
        digest.update(Path(str(module.__file__)).read_bytes())
    for path in account_kernel.SOURCES:
        digest.update(path.read_bytes())
    return digest.intdigest()


def _compose(sources: int) -> Any:  # noqa: C901, PLR0915  # holds the kernels
    """The kernels. `sources` is in the key of numba's cache, which looks at this file alone."""

    @kernel
    def advance(  # type: ignore[no-untyped-def]  # noqa: C901, PLR0911, PLR0912, PLR0915
        parts, travel, accounts, limits, told, scratch, arrivals, places, start, stop, due
    ):  # fmt: skip
        """Take rows in until one is not for here; see `FastPath.advance`.

        Mutates parts, travel, accounts, scratch and the links, `ASIDE` and `WATERMARK` of arrivals.
        `ASIDE` of an admitted row has its speakers, and `DISORDERED`.
        """
        _ = sources
        edges, links, ends, mark = parts.edges, parts.links, parts.ends, parts.mark
        entities, seen = scratch.entities, scratch.seen
        edge_room = parts.edge_table.slots.shape[0] * 3 // 4
        link_room = parts.link_table.slots.shape[0] * 3 // 4
        for i in range(start, stop):
            row = arrivals[i]
            time, h, user = row[TIME], row[HASH], row[USER]
            if row[ASIDE] >= 0 or ends[WITNESSES] < mark.shape[0]:
                return i, 1
            end, link_end = ends[END], ends[LINK_END]
            if (
                end & kernels.PAGE_MASK == 0
                or end >> kernels.PAGE_SHIFT >= ends[EDGE_PAGES]
                or (link_end + EXPIRE_MOST + 4) >> kernels.PAGE_SHIFT >= ends[LINK_PAGES]
                or end - ends[TAIL] >= limits.max_edges
                or parts.edge_table.state[0] + 1 > edge_room
                or parts.link_table.state[0] + EXPIRE_MOST + 4 > link_room
                or kernels.find_edge(edges, parts.edge_table, h, ends[TAIL], end, 0) >= 0
            ):
                return i, 1

            # The watermark: the oldest of the newest, see graph.watermark.
            newest = mark.shape[0]  # where the transaction would stand among them
            known = False
            for k in range(mark.shape[0]):
                known |= mark[k, 0] == time and mark[k, 1] == h
            if not known:
                newest = 0
                for k in range(mark.shape[0]):
                    if mark[k, 0] < time or (mark[k, 0] == time and mark[k, 1] < h):
                        newest = k + 1
            now = mark[0, 0]
            if not known and newest > 0:
                now = time if newest == 1 else mark[1, 0]
            if time < max(now - limits.lateness, ends[FLOOR]) or time > now + limits.ahead:
                return i, 1
            for k in range(USER, LINKS):
                if row[k] == UNKNOWN:
                    ends[NOW] = now
                    return i, 4
            if now >= due:
                ends[NOW] = now
                return i, 5
            if not known and newest > 0:
                for k in range(newest - 1):
                    mark[k, 0], mark[k, 1] = mark[k + 1, 0], mark[k + 1, 1]
                mark[newest - 1, 0], mark[newest - 1, 1] = time, h
            cutoff = max(now - limits.horizon, ends[FLOOR])
            ends[CUTOFF] = cutoff
            row[WATERMARK] = now

            # What TransactionWindow.add does from here on.
            for k in range(USER, DEVICE):
                if row[k] >= 0:
                    parts.account_seen[row[k]] = max(parts.account_seen[row[k]], time)
            for k in range(DEVICE, LINKS):
                if row[k] >= 0:
                    parts.identifier_seen[row[k]] = max(parts.identifier_seen[row[k]], time)
            other = row[OTHER]
            entities[0], entities[1], entities[2] = row[DEVICE], row[IP], row[CARD]
            entities[3] = NONE if other < 0 else -2 - other
            inward = row[INWARD] != 0
            outcome = kernels.admit(
                edges,
                parts.edge_table,
                links,
                parts.link_table,
                ends,
                time,
                row[VALUE],
                other if inward else user,
                user if inward else other,
                h,
                time >= mark[mark.shape[0] - 1, 0],
                cutoff,
                EVICT_MOST,
                DISORDER_BUDGET,
                user,
                entities,
                now - limits.retention,
                now,
                EXPIRE_MOST,
                link_end - ends[LINK_TAIL] + EXPIRE_MOST + 4 > limits.max_links,
                seen,
            )
            if outcome == 2:
                return i, 3
            parts.text[kernels.slot(edges.pages, end)] = ends[TEXT]
            ends[TEXT] += row[LENGTH]
            for k in range(4):
                for j in range(3):
                    row[LINKS + 3 * k + j] = seen[k, j]
            if outcome == 1:
                row[ASIDE] = DISORDERED | EVERYBODY
                return i, 2
            speakers = _speakers(parts, limits, told, scratch, row, end, now)
            speakers |= account_kernel.may_speak(parts, accounts, row, now)
            if speakers != 0:
                row[ASIDE] = speakers | _TRAVEL
                return i, 2
            latitude, longitude = places[i, 0], places[i, 1]
            if not np.isnan(latitude):
                generations, times, positions, where = travel
                generation = parts.account_generation[user]
                km = rules.km_from(generations, where, user, generation, latitude, longitude)
                if km > limits.travel_km:
                    row[ASIDE] = _TRAVEL
                    return i, 2
                rules.settle(
                    generations, times, positions, where, user, generation, time, end,
                    latitude, longitude,
                )  # fmt: skip
            account_kernel.settle(parts, accounts, row, end, now)
        return stop, 0

    @kernel
    def look_again(parts, limits, told, scratch, positions, out):  # type: ignore[no-untyped-def]
        """Fill `out` with the money patterns that may speak of live edges, as `Speaker` flags.

        Mutates scratch and out only.
        """
        _ = sources
        for i in range(positions.shape[0]):
            out[i] = _money(parts, limits, told, scratch, positions[i])

    return advance, look_again


@kernel(cache=False)  # not cached by itself: its callees are in other files
def _speakers(parts, limits, told, scratch, row, position, now):  # type: ignore[no-untyped-def]
    """Heuristics but impossible travel that may have something to say of a row just admitted.

    Mutates scratch only.
    """
    found = 0
    time, user = row[TIME], row[USER]
    if row[INWARD] == 0:
        attempts, _, _ = rules.attempts_of(
            parts.edges,
            parts.ends[TAIL],
            user,
            time - limits.velocity_within,
            time,
            scratch.attempts,
        )
        if attempts >= limits.velocity_attempts:
            found |= _VELOCITY
    found |= _money(parts, limits, told, scratch, position)
    if _shares(parts, limits, told, scratch, row, now - limits.retention):
        found |= _SHARING
    return found


@kernel(cache=False)
def _money(parts, limits, told, scratch, position):  # type: ignore[no-untyped-def]
    """The money patterns that may have something to say of an edge. Mutates scratch only."""
    found = 0
    edges = parts.edges
    tail, cutoff = parts.ends[TAIL], parts.ends[CUTOFF]
    count, _, cut = cycle.cycles_at(
        edges, tail, cutoff, position, limits.cycle_within, limits.cycle_ratio_least,
        limits.cycle_ratio_most, limits.cycle_hops, limits.cycle_scan, scratch.cycles,
        scratch.hops, scratch.path,
    )  # fmt: skip
    if count > 0:
        found |= _CYCLES
    elif cut:
        unfinished.note(scratch.unfinished, position)
    _, _, _, forwardings, _, _, _ = pass_through.flows_at(
        edges, tail, cutoff, position, limits.mule_within, limits.mule_passes_on,
        limits.mule_dwell, pass_through.ONWARD, scratch.ins, scratch.outs, scratch.senders,
        scratch.flows,
    )  # fmt: skip
    if forwardings < told.mule.shape[0] and told.mule[forwardings]:
        found |= _MULES
    found |= _crowds(parts, limits, told, scratch, position)
    return found | _moves(parts, limits, told, scratch, position)


@kernel(cache=False)
def _crowds(parts, limits, told, scratch, position):  # type: ignore[no-untyped-def]
    """The heuristics of crowds around one account that may have something to say.

    Mutates scratch only.
    """
    found = 0
    edges = parts.edges
    tail, cutoff = parts.ends[TAIL], parts.ends[CUTOFF]
    _, _, _, forwardings, _, _, _ = pass_through.flows_at(
        edges, tail, cutoff, position, limits.mule_within, limits.fan_passes_on,
        limits.mule_within, pass_through.AND_GOODS, scratch.ins, scratch.outs,
        scratch.crowd_senders, scratch.flows,
    )  # fmt: skip
    if forwardings < told.collector.shape[0] and told.collector[forwardings]:
        found |= _COLLECTORS
    ins, _, outs, _ = fan.crowds_at(
        edges, tail, cutoff, position, limits.fan_within, limits.fan_counterparties,
        scratch.crowds, scratch.crowd,
    )  # fmt: skip
    for side, size in ((0, ins), (1, outs)):
        if size < told.fan.shape[0] and told.fan[size]:
            strangers = fan.strangers_in(
                edges, parts.links, parts.ends[LINK_TAIL], cutoff, limits.fan_within,
                scratch.crowds[side, :size], side == 0, limits.acquaintance_scan, scratch.others,
                scratch.known,
            )  # fmt: skip
            if strangers >= limits.fan_fresh_share * size:
                found |= _FANS
    return found


@kernel(cache=False)
def _moves(parts, limits, told, scratch, position):  # type: ignore[no-untyped-def]
    """The money patterns over several accounts that may have something to say.

    Mutates scratch only.
    """
    found = 0
    edges = parts.edges
    tail, cutoff = parts.ends[TAIL], parts.ends[CUTOFF]
    hops, cut = chain.chain_at(
        edges, tail, cutoff, position, limits.chain_within, limits.chain_keeps,
        limits.cycle_ratio_most, limits.chain_hops, limits.chain_scan, scratch.chain,
        scratch.chain_path,
    )  # fmt: skip
    if hops > 0:
        found |= _CHAINS
    elif cut:
        unfinished.note(scratch.unfinished, position)
    hands, cut = scatter_gather.scattered_at(
        edges, tail, cutoff, position, limits.relay_within, limits.cycle_ratio_least,
        limits.cycle_ratio_most, limits.relay_intermediaries, limits.relay_scan, scratch.sources,
        scratch.hands, scratch.legs,
    )  # fmt: skip
    if hands > 0:
        found |= _SCATTERED
    elif cut:
        unfinished.note(scratch.unfinished, position)
    _, _, flows, _, _, _, _ = pass_through.flows_at(
        edges, tail, cutoff, position, limits.mule_within, limits.relay_passes_on,
        limits.relay_within, pass_through.ONWARD, scratch.ins, scratch.outs, scratch.senders,
        scratch.flows,
    )  # fmt: skip
    if flows > 0:
        found |= _GATHERED
    _, _, pairs, _, _, _ = layer_search.block_at(
        edges, tail, cutoff, position, limits.layer_within, limits.layer_side,
        limits.layer_density, limits.layer_accounts, limits.stack_accounts, limits.layer_scan,
        scratch.sides, scratch.bits, scratch.pairs,
    )  # fmt: skip
    if pairs < told.layers.shape[0] and told.layers[pairs]:
        found |= _LAYERS
    _, hops, _, _ = tree_search.tree_at(
        edges, tail, cutoff, position, limits.tree_within, limits.tree_span, limits.tree_carries,
        limits.tree_passes_on, limits.tree_accounts, limits.tree_scan, scratch.tree,
        scratch.tree_hops, scratch.tree_ins, scratch.tree_outs,
    )  # fmt: skip
    if hops < told.trees.shape[0] and told.trees[hops]:
        found |= _TREES
    ins, outs, _, _ = structuring.just_under_at(
        edges, tail, cutoff, position, limits.structuring_within, limits.structuring,
        scratch.just_under, scratch.paid_in,
    )  # fmt: skip
    if max(ins, outs) < told.structuring.shape[0] and told.structuring[max(ins, outs)]:
        found |= _STRUCTURING
    return found


@kernel(cache=False)
def _shares(parts, limits, told, scratch, row, oldest):  # type: ignore[no-untyped-def]
    """Whether a new link of a row may complete a shared identity. Mutates scratch only."""
    links, link_tail = parts.links, parts.ends[LINK_TAIL]
    new = False
    for k in range(3):
        if row[DEVICE + k] < 0 or row[LINKS + 3 * k] != 0:
            continue
        new = True
        if DEVICE + k == IP:
            continue
        sizes = told.device if DEVICE + k == DEVICE else told.card
        users, _ = identity.links_of(links, link_tail, row[DEVICE + k], oldest, scratch.links)
        if users < sizes.shape[0] and sizes[users]:
            return True
    if not new or row[IP] < 0:
        return False
    joined = identity.joined_at(
        links, parts.identifier_kind, link_tail, row[IP], row[USER], oldest, limits.ip_users,
        limits.witness, scratch.there, scratch.links, scratch.joined,
    )  # fmt: skip
    return joined < 0 or (joined < told.ip.shape[0] and told.ip[joined] != 0)


_kernels: Final = _compose(_sources())
advance: Final = _kernels[0]
look_again: Final = _kernels[1]
