"""The fast path: many transactions of which nothing is to be told, in one call into compiled code.

Nine of ten transactions complete no pattern. For them everything between the window's `add` and
the heuristics' silence is a few loops over columns, and what they cost in an interpreter is the
interpreter. So a batch is laid out in columns once, and one kernel takes it in, row by row, until
it meets a row that is not its business:

    NEWCOMER   left as it was: it names somebody who has no id yet, and is given one
    ATTENTION  left as it was: a duplicate, late or ahead, blocked, a log or table that has to
               grow, or something falls due at its time
    ADMITTED   in the window, and some heuristic may have something to say (or it arrived out of
               order, so that later edges may too)
    REFUSED    it belongs too deep in a chain: late (see `graph.kernels.append_edge`)

A newcomer is met and the kernel goes on with the same row; any other row goes the long way, one
step at a time, and the kernel goes on behind it. `_speakers` is the
twin of the heuristics, kernel for kernel with the same limits: it may take for a speaker who has
nothing to say, never the other way round, and leaves the saying to them. So both ways give the
same verdicts and the same state; `tests/property/test_fast_path.py` holds them to it.
"""

from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from graph import heuristics, kernels, window
from graph.admission import Admission, Link, Status
from graph.compiled import bind, kernel
from graph.entities import SHARDS
from graph.evidence import Pattern
from graph.heuristics import EVERYBODY, Catalogue, Speaker, cycle, fan, identity, mule, rules
from graph.heuristics.witness import reach
from graph.kernels import NONE
from graph.lists import ListName
from graph.thresholds import MOST_HOPS
from graph.transaction import EntityKind, Outcome, Transaction, TransactionType
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
    TransactionWindow,
    WindowParts,
)

_TRAVEL: Final = int(Speaker.TRAVEL)
_VELOCITY: Final = int(Speaker.VELOCITY)
_CYCLES: Final = int(Speaker.CYCLES)
_MULES: Final = int(Speaker.MULES)
_FANS: Final = int(Speaker.FANS)
_SHARING: Final = int(Speaker.SHARING)
_DISORDERED: Final = EVERYBODY + 1
"""Beside the speakers in `ASIDE`: the row arrived beneath newer edges of its accounts."""

UNKNOWN: Final = -2
"""In a laid out row: an entity that is named, and has no id yet."""

# A transaction laid out as int64: then what the kernel adds, the links as (count, first, last) of
# device, IP, card and other party before it.
(
    TIME, VALUE, INWARD, HASH, LENGTH, ASIDE, USER, OTHER, DEVICE, IP, CARD, LINKS,
) = range(12)  # fmt: skip
WIDTH: Final = LINKS + 12

_DEPOSIT: Final = TransactionType.DEPOSIT
_REFUND: Final = TransactionType.REFUND
_DECLINED: Final = Outcome.DECLINED
_NOWHERE: Final = (float("nan"), float("nan"))


class Stop(IntEnum):
    """Why the kernel stopped at a row; see the module. `NOTHING`: there are no more."""

    NOTHING = 0
    ATTENTION = 1
    ADMITTED = 2
    REFUSED = 3
    NEWCOMER = 4


_LEAVE_AS_LENT: Final = (Stop.NOTHING, Stop.ADMITTED, Stop.NEWCOMER)


class _Limits(NamedTuple):
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
    ip_users: int


class _Told(NamedTuple):
    """Sizes at which each pattern is told, as uint8 tables by size."""

    mule: NDArray[np.uint8]
    fan: NDArray[np.uint8]
    device: NDArray[np.uint8]
    card: NDArray[np.uint8]


class _Scratch(NamedTuple):
    """What the searches write and nobody reads."""

    entities: NDArray[np.int64]
    seen: NDArray[np.int64]
    attempts: NDArray[np.int64]
    cycles: NDArray[np.int64]
    hops: NDArray[np.int64]
    path: NDArray[np.int64]
    ins: NDArray[np.int64]
    outs: NDArray[np.int64]
    senders: NDArray[np.int64]
    flows: NDArray[np.int64]
    crowds: NDArray[np.int64]
    crowd: NDArray[np.int32]
    links: NDArray[np.int64]


class FastPath:
    """Takes a batch into a window, as far as nothing is to be told.

    Args:
        into: The window.
        catalogue: Who would speak.
    """

    def __init__(self, into: TransactionWindow, catalogue: Catalogue) -> None:
        self._window = into
        self._heuristics = catalogue
        limits, config = catalogue.thresholds, into.config
        self._limits = _Limits(
            lateness=config.lateness,
            ahead=config.horizon,
            horizon=config.horizon,
            retention=config.retention,
            max_edges=config.max_edges,
            max_links=config.max_links,
            velocity_attempts=limits.velocity_attempts,
            velocity_within=limits.velocity_within,
            travel_km=float(limits.travel_km),
            cycle_within=reach(into, limits.cycle_within),
            cycle_ratio_least=float(limits.cycle_ratio_least),
            cycle_ratio_most=float(limits.cycle_ratio_most),
            cycle_hops=limits.cycle_hops,
            cycle_scan=limits.cycle_scan,
            mule_within=reach(into, limits.mule_within),
            mule_passes_on=float(limits.mule_passes_on),
            mule_dwell=limits.mule_dwell,
            fan_within=reach(into, limits.fan_within),
            fan_counterparties=limits.fan_counterparties,
            ip_users=limits.ip_users,
        )
        shared = catalogue.sharing.told
        self._told = _Told(
            mule=_table(catalogue.mules.told),
            fan=_table(catalogue.fans.told),
            device=_table(shared[Pattern.SHARED_DEVICE]),
            card=_table(shared[Pattern.SHARED_CARD]),
        )
        self._scratch = _Scratch(
            entities=np.zeros(4, np.int64),
            seen=np.zeros((4, 3), np.int64),
            attempts=np.zeros(catalogue.velocity.most, np.int64),
            cycles=np.zeros((1, MOST_HOPS), np.int64),
            hops=np.zeros(1, np.int64),
            path=np.zeros((2, MOST_HOPS), np.int64),
            ins=np.zeros((2, limits.mule_scan), np.int64),
            outs=np.zeros(limits.mule_scan + 1, np.int64),
            senders=np.zeros(limits.mule_senders, np.int64),
            flows=np.zeros((2 * limits.mule_scan + 1, 4), np.int64),
            crowds=np.zeros((2, limits.fan_scan + 1), np.int64),
            crowd=np.zeros(fan.table_size(limits.fan_scan), np.int32),
            links=np.zeros(limits.sharing_scan, np.int64),
        )
        self.arrivals: NDArray[np.int64] = np.zeros((1, WIDTH), np.int64)
        self._places: NDArray[np.float64] = np.zeros((1, 2), np.float64)
        self._texts: list[bytes] = []
        self._transactions: Sequence[Transaction] = ()
        self._parts: WindowParts | None = None  # while nothing else has changed the window
        travel = catalogue.travel.columns(into.accounts.capacity)
        self._kernel = bind(_advance, *self._arguments(into.lend(), travel), 0, 0, 0)

    def lay_out(self, transactions: Sequence[Transaction]) -> None:
        """Put a batch into columns: `arrivals`, int64 [N, WIDTH], to be advanced through."""
        count = len(transactions)
        if count > len(self.arrivals):
            self.arrivals = np.zeros((count, WIDTH), np.int64)
            self._places = np.zeros((count, 2), np.float64)
        lists = self._heuristics.lists
        digest, none, reverse = xxhash.xxh32_intdigest, NONE, (_DEPOSIT, _REFUND)
        self._texts = texts = [tx.transaction_id.encode() for tx in transactions]
        rows = [
            (
                tx.timestamp,
                -tx.value if tx.outcome is _DECLINED else tx.value,
                tx.type in reverse,
                digest(text),
                len(text),
                none,
            )
            for tx, text in zip(transactions, texts, strict=True)
        ]
        self.arrivals[:count, :USER] = rows
        self._places[:count] = [
            _NOWHERE
            if (place := tx.location) is None or place.latitude is None or place.longitude is None
            else (place.latitude, place.longitude)
            for tx in transactions
        ]
        if len(lists):
            self.arrivals[:count, ASIDE] = [
                0 if lists.touched(ListName.BLOCK, tx) else NONE for tx in transactions
            ]
        self._transactions = transactions
        self._parts = None
        self.look_up(0, count)

    def look_up(self, start: int, stop: int) -> None:
        """Write down the ids that the entities of some rows have now."""
        accounts, identifiers = self._window.accounts, self._window.identifiers
        user, merchant = accounts.shards(EntityKind.USER), accounts.shards(EntityKind.MERCHANT)
        device, ip = identifiers.shards(EntityKind.DEVICE), identifiers.shards(EntityKind.IP)
        card, none, unknown, n = identifiers.shards(EntityKind.CARD), NONE, UNKNOWN, SHARDS
        self.arrivals[start:stop, USER:LINKS] = [
            (
                user[hash(tx.user_id) % n].get(tx.user_id, unknown),
                user[hash(k) % n].get(k, unknown)
                if (k := tx.counterparty_id) is not None
                else none
                if (k := tx.merchant_id) is None
                else merchant[hash(k) % n].get(k, unknown),
                none if (k := tx.device_id) is None else device[hash(k) % n].get(k, unknown),
                none if (k := tx.ip_address) is None else ip[hash(k) % n].get(k, unknown),
                none if (k := tx.card_id) is None else card[hash(k) % n].get(k, unknown),
            )
            for tx in self._transactions[start:stop]
        ]

    def advance(self, start: int, due: int) -> tuple[int, Stop]:
        """Take rows in from `start` on, up to the first that is not for compiled code.

        Args:
            start: First row.
            due: Event time at which something falls due; a row at which the watermark reaches it
                goes the long way.

        Returns:
            (the row it stopped at, why); (how many rows there are, `NOTHING`) at the end.
        """
        into, stop = self._window, len(self._transactions)
        if self._parts is None:
            self._parts = into.lend()
        travel = self._heuristics.travel.columns(into.accounts.capacity)
        row, why = self._kernel(*self._arguments(self._parts, travel), start, stop, due)
        into.adopt(self._texts[start : row + (why == Stop.ADMITTED)])
        if why not in _LEAVE_AS_LENT:
            self._parts = None  # the long way changes what was lent
        return row, Stop(why)

    def meet(self, row: int) -> bool:
        """Give ids to who has none in a row that was left as a `NEWCOMER`, to advance from there.

        False where there may be no room for them: then the row goes the long way. An id may have
        been somebody else's in the rows before: whoever keeps state by id has to be done with them.
        """
        spaces = (self._window.accounts, self._window.identifiers)
        if not all(space.has_room for space in spaces):
            self._parts = None
            return False
        given_back = [space.given_back for space in spaces]
        self.arrivals[row, USER:LINKS] = self._window.meet(self._transactions[row])
        if given_back != [space.given_back for space in spaces]:
            self.look_up(row + 1, len(self._transactions))
        return True

    def admission(self, row: int) -> Admission:
        """What became of a row that was `ADMITTED`; of the last one that `advance` came to."""
        at = self.arrivals[row].tolist()
        links = tuple(Link(*at[k : k + 3]) for k in range(LINKS, WIDTH, 3))
        device, ip, card, other = links
        return Admission(
            Status.ACCEPTED,
            self._window.end - 1,
            at[USER],
            at[OTHER],
            at[DEVICE],
            at[IP],
            at[CARD],
            (device, ip, card, other),
            at[ASIDE] >= _DISORDERED,
        )

    def speakers(self, row: int) -> int:
        """Who may have something to say of a row that was `ADMITTED`, as `Speaker` flags."""
        return int(self.arrivals[row, ASIDE]) & EVERYBODY

    def _arguments(self, parts: WindowParts, travel: tuple[NDArray[Any], ...]) -> tuple[Any, ...]:
        limits, told, scratch = self._limits, self._told, self._scratch
        return parts, travel, limits, told, scratch, self.arrivals, self._places


def _table(sizes: frozenset[int]) -> NDArray[np.uint8]:
    table = np.zeros(max(sizes) + 1, np.uint8)
    table[list(sizes)] = 1
    return table


def _sources() -> int:
    """Hash of the files whose kernels and constants are used in this one."""
    digest = xxhash.xxh32()
    for module in (kernels, window, heuristics, cycle, fan, identity, mule, rules):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.intdigest()


def _compose(sources: int) -> Any:  # noqa: C901, PLR0915  # holds the kernel
    """The kernel. `sources` is in the key of numba's cache, which looks at this file alone."""

    @kernel
    def advance(parts, travel, limits, told, scratch, arrivals, places, start, stop, due):  # type: ignore[no-untyped-def]  # noqa: C901, PLR0911, PLR0912, PLR0915  # one pass over the rows
        """Take rows in until one is not for here; see `FastPath.advance`.

        Mutates parts, travel, scratch and the links and `ASIDE` of arrivals. `ASIDE` of an
        admitted row has its speakers, and `_DISORDERED`.
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
            if now >= due:
                return i, 1
            for k in range(USER, LINKS):
                if row[k] == UNKNOWN:
                    ends[NOW] = now
                    return i, 4
            if not known and newest > 0:
                for k in range(newest - 1):
                    mark[k, 0], mark[k, 1] = mark[k + 1, 0], mark[k + 1, 1]
                mark[newest - 1, 0], mark[newest - 1, 1] = time, h
            cutoff = max(now - limits.horizon, ends[FLOOR])
            ends[CUTOFF] = cutoff

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
                row[ASIDE] = _DISORDERED | EVERYBODY
                return i, 2
            speakers = _speakers(parts, limits, told, scratch, row, end, now)
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
        return stop, 0

    return advance


@kernel(cache=False)  # not cached by itself: its callees are in other files
def _speakers(parts, limits, told, scratch, row, position, now):  # type: ignore[no-untyped-def]
    """Heuristics but impossible travel that may have something to say of a row just admitted.

    Mutates scratch only.
    """
    found = 0
    edges = parts.edges
    tail, cutoff, time, user = parts.ends[TAIL], parts.ends[CUTOFF], row[TIME], row[USER]
    if row[INWARD] == 0:
        attempts, _, _ = rules.attempts_of(
            edges, tail, user, time - limits.velocity_within, time, scratch.attempts
        )
        if attempts >= limits.velocity_attempts:
            found |= _VELOCITY
    count, _, _ = cycle.cycles_at(
        edges, tail, cutoff, position, limits.cycle_within, limits.cycle_ratio_least,
        limits.cycle_ratio_most, limits.cycle_hops, limits.cycle_scan, scratch.cycles,
        scratch.hops, scratch.path,
    )  # fmt: skip
    if count > 0:
        found |= _CYCLES
    _, _, _, forwardings, _, _, _ = mule.flows_at(
        edges, tail, cutoff, position, limits.mule_within, limits.mule_passes_on,
        limits.mule_dwell, scratch.ins, scratch.outs, scratch.senders, scratch.flows,
    )  # fmt: skip
    if forwardings < told.mule.shape[0] and told.mule[forwardings]:
        found |= _MULES
    ins, _, outs, _ = fan.crowds_at(
        edges, tail, cutoff, position, limits.fan_within, limits.fan_counterparties,
        scratch.crowds, scratch.crowd,
    )  # fmt: skip
    for size in (ins, outs):
        if size < told.fan.shape[0] and told.fan[size]:
            found |= _FANS
    if _shares(parts, limits, told, scratch, row, now - limits.retention):
        found |= _SHARING
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
    # A companion may be counted twice here; the heuristic counts them once.
    companions, _ = identity.companions_of(
        links, parts.identifier_kind, link_tail, row[USER], oldest, scratch.links
    )
    return companions + 1 >= limits.ip_users


_advance: Final = _compose(_sources())
