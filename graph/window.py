"""The sliding window: a log of transactions with back-pointers, in event time.

`add` answers accepted, duplicate, late or ahead, and moves the tail over what has become too old.
The money graph (who paid whom) is the edge log; the sharing graph (who was seen with which device,
IP, card and other party) is the link log. Both are columns for compiled kernels; everything here
is bookkeeping around them.

Where the memory cap is reached the oldest edges are given up early: `pressed` counts them and
`cutoff` says from when on the window is whole.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
import xxhash
from numpy.typing import NDArray

from graph import kernels, watermark
from graph.admission import Admission, Link, Status
from graph.columns import GrowingTable, PagedColumns
from graph.compiled import bind
from graph.entities import EntitySpace
from graph.evidence import Hop
from graph.kernels import NONE, PAGE_MASK, PAGE_SHIFT, EdgeLog, LinkLog, PositionTable
from graph.snapshot import Snapshot, pack, unpack
from graph.transaction import (
    ACCOUNTS,
    DAY,
    MINUTE,
    Entity,
    EntityKind,
    Transaction,
    TransactionType,
)
from graph.watermark import Punctuality, Watermark

_VERSION: Final = 1

# How deep in an account's chain a transaction may arrive: 4,096 edges of one account within the
# lateness. Deeper ones are refused as late, so that no single add walks further.
DISORDER_BUDGET: Final = 4096
# Evicting at most this many edges an add keeps the add after a long silence short.
EVICT_MOST: Final = 256
EXPIRE_MOST: Final = 8
_LATER_MOST: Final = 256
_HOPS_MOST: Final = 65_536
"""Hops kept once they were made: about 200 bytes each."""
_LATER_BUDGET: Final = 2000
_LATER_HOPS: Final = 5

# Places in `WindowParts.ends`: those of `kernels.admit` first.
(
    TAIL, END, LINK_TAIL, LINK_END, FLOOR, CUTOFF, EDGE_PAGES, LINK_PAGES, TEXT, WITNESSES, NOW,
) = range(11)  # fmt: skip

ANY_TIME: Final = 400 * 365 * DAY
"""For `WindowConfig.ahead`: no time that can be written lies as far in front of another."""
_FOREVER: Final = np.iinfo(np.int64).max
_INWARD: Final = (TransactionType.DEPOSIT, TransactionType.REFUND)

_EDGE_DTYPES: Final = (
    np.int64, np.int64, np.int32, np.int32, np.int32, np.int32, np.int32, np.uint32, np.uint32,
)  # fmt: skip
_LINK_DTYPES: Final = (
    np.int32, np.int32, np.int64, np.int64, np.int64, np.int32, np.int32, np.int32, np.uint32,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WindowConfig:
    """Sizes and spans of the window.

    The caps reserve addresses, not memory: a window costs about 60 bytes a live edge.
    """

    horizon: int = DAY
    lateness: int = 5 * MINUTE
    # In front of event time: what lies further is not kept, as its time may be absurd. `ANY_TIME`
    # where somebody has looked at it, so that a silence of days ends with its first transaction;
    # the horizon where it is left out.
    ahead: int | None = None
    retention: int = 30 * DAY  # of links: the longest horizon anybody counts over
    # Of entities, while there is room: somebody who was away for a month is not a stranger, and
    # to take them for one cost a third of the average precision on AMLSim.
    memory: int = 400 * DAY
    max_edges: int = 4_194_304
    max_accounts: int = 1_048_576
    max_identifiers: int = 2_097_152
    max_links: int = 8_388_608

    @property
    def most_ahead(self) -> int:
        """How far in front of event time a transaction may lie and be kept, ms."""
        return self.horizon if self.ahead is None else self.ahead


class WindowParts(NamedTuple):
    """What compiled code needs to take transactions in by itself (`graph.fast_path`).

    Attributes:
        edges, edge_table: The edge log and its duplicate index.
        links, link_table: The link log and its index of pairs.
        text: uint32, where the id of an edge begins in the text of its page.
        account_seen, account_generation: By account id, as in `EntitySpace`.
        identifier_seen, identifier_kind, identifier_generation: By identifier id.
        ends: int64[11], the moving ends: `TAIL`, `END`, `LINK_TAIL`, `LINK_END`; `FLOOR` and
            `CUTOFF` in time; the first logical page not there yet of both logs, `EDGE_PAGES` and
            `LINK_PAGES`; `TEXT`, bytes of text in the page of `END`; how many `WITNESSES`;
            and `NOW`, the watermark as it will be with the row that compiled code stopped at.
        mark: int64[3, 2], the watermark's witnesses: times and keys, oldest first.
    """

    edges: EdgeLog
    edge_table: PositionTable
    links: LinkLog
    link_table: PositionTable
    text: NDArray[np.uint32]
    account_seen: NDArray[np.int64]
    account_generation: NDArray[np.int32]
    identifier_seen: NDArray[np.int64]
    identifier_kind: NDArray[np.uint8]
    identifier_generation: NDArray[np.int32]
    ends: NDArray[np.int64]
    mark: NDArray[np.int64]


class TransactionWindow:
    """The transactions of the last `horizon`, as a graph.

    Attributes:
        watermark: Event time as far as it has come, ms.
        tail, end: The live positions of the edge log are tail <= p < end.
        cutoff: Edges before this time are no longer part of the window.
        pressed: Edges given up early because the window was full.
        counts: Transactions by status.
    """

    def __init__(self, config: WindowConfig = WindowConfig()) -> None:
        self.config = config
        self.accounts = EntitySpace(
            ACCOUNTS,
            config.max_accounts,
            config.memory,
            config.retention,
        )
        self.identifiers = EntitySpace(
            (EntityKind.DEVICE, EntityKind.IP, EntityKind.CARD),
            config.max_identifiers,
            config.memory,
            config.retention,
        )
        self._mark = Watermark(config.lateness, ahead=config.most_ahead)
        self._edge_columns = PagedColumns(_EDGE_DTYPES, config.max_edges)
        time, value, source, target, out, in_, pred, hash_, self._text = self._edge_columns.columns
        self.edges = EdgeLog(
            pages=self._edge_columns.pages,
            time=time,
            value=value,
            source=source,
            target=target,
            back_out=out,
            back_in=in_,
            back_pred=pred,
            id_hash=hash_,
            newest_out=np.zeros(config.max_accounts, np.int64),
            newest_in=np.zeros(config.max_accounts, np.int64),
            account_kind=self.accounts.kind,
        )
        self._edge_table = GrowingTable()
        self._link_columns = PagedColumns(_LINK_DTYPES, config.max_links)
        user, entity, first, last, appended, count, of_user, of_entity, key = (
            self._link_columns.columns
        )
        self.links = LinkLog(
            pages=self._link_columns.pages,
            user=user,
            entity=entity,
            first=first,
            last=last,
            appended=appended,
            count=count,
            back_user=of_user,
            back_entity=of_entity,
            key_hash=key,
            newest_of_user=np.zeros(config.max_accounts, np.int64),
            newest_of_identifier=np.zeros(config.max_identifiers, np.int64),
        )
        self._link_table = GrowingTable()
        self._texts: dict[int, bytearray] = {}
        self._hops: dict[int, Hop] = {}
        # Positions start at 1, so that a zeroed head is below every tail: none yet.
        self.tail = self.end = 1
        self.link_tail = self.link_end = 1
        self.pressed = 0
        self._floor = 0
        self.cutoff = 0
        self.counts = dict.fromkeys(Status, 0)
        self._spans = np.zeros(4, np.int64)
        self._entities = np.full(4, NONE, np.int64)
        self._seen = np.zeros((4, 3), np.int64)
        self._ends = np.zeros(NOW + 1, np.int64)
        self._witnesses = np.zeros((watermark.WITNESSES, 2), np.int64)
        self._later = np.zeros(_LATER_MOST, np.int64)
        tables = (self._edge_table.table, self._link_table.table)
        self._find_kernel = bind(kernels.find_edge, self.edges, tables[0], 0, 0, 0, 0)
        self._link_kernel = bind(kernels.find_link, self.links, tables[1], 0, 0, 0, 0)
        flag = False
        self._admit_kernel = bind(
            kernels.admit, self.edges, tables[0], self.links, tables[1], self._spans,
            0, 0, 0, 0, 0, flag, 0, 0, 0, 0, self._entities, 0, 0, 0, flag, self._seen,
        )  # fmt: skip

    def __len__(self) -> int:
        return self.end - self.tail

    @property
    def watermark(self) -> int:
        """Event time as far as three transactions agree on it, ms."""
        return self._mark.time

    def add(self, tx: Transaction) -> Admission:
        """Take a transaction into the window, once, if it is not too late.

        A late or absurdly early one changes nothing but the counts: its entities are looked up,
        not made.
        """
        text = tx.transaction_id.encode()
        id_hash = xxhash.xxh32_intdigest(text)
        first = self._find(text, id_hash)
        if first >= 0:
            return self._unchanged(Status.DUPLICATE, tx, first)
        punctuality = self._mark.observe(tx.timestamp, id_hash)
        if punctuality is Punctuality.LATE or tx.timestamp < self._floor:
            return self._unchanged(Status.LATE, tx)
        if punctuality is Punctuality.AHEAD:
            return self._unchanged(Status.AHEAD, tx)
        self.cutoff = max(self._mark.time - self.config.horizon, self._floor)
        if len(self) >= self.config.max_edges:
            self._give_up_the_oldest()
        ids = self._intern(tx, self._mark.time)
        outcome = self._admit(tx, id_hash, ids)
        if outcome == 2:  # as append_edge documents
            return self._unchanged(Status.LATE, tx)
        blob = self._texts.setdefault(self.end >> PAGE_SHIFT, bytearray())
        self._text[self._row(self.end)] = len(blob)
        blob += text
        position = self.end
        self.tail, self.end, self.link_tail, self.link_end = self._spans.tolist()
        self._give_back_pages()
        self.counts[Status.ACCEPTED] += 1
        return Admission(Status.ACCEPTED, position, *ids, self._relations(), outcome == 1)

    def refuse(self, tx: Transaction) -> Admission:
        """The answer about a transaction that compiled code found too deep in a chain: late."""
        return self._unchanged(Status.LATE, tx)

    def lend(self) -> WindowParts:
        """The parts, for compiled code; `adopt` must follow where it takes transactions in."""
        witnesses = self._mark.snapshot()
        if witnesses:
            self._witnesses[: len(witnesses)] = witnesses
        self._ends[:] = (
            self.tail,
            self.end,
            self.link_tail,
            self.link_end,
            self._floor,
            self.cutoff,
            self._edge_columns.reached,
            self._link_columns.reached,
            len(self._texts.get(self.end >> PAGE_SHIFT, ())),
            len(witnesses),
            self._mark.time,
        )
        return WindowParts(
            self.edges,
            self._edge_table.table,
            self.links,
            self._link_table.table,
            self._text,
            self.accounts.last_seen,
            self.accounts.generation,
            self.identifiers.last_seen,
            self.identifiers.kind,
            self.identifiers.generation,
            self._ends,
            self._witnesses,
        )

    @property
    def link_index(self) -> PositionTable:
        """The index of pairs in the link log, for compiled code that looks pairs up."""
        return self._link_table.table

    def meet(self, tx: Transaction) -> tuple[int, int, int, int, int]:
        """Give ids to the entities of a transaction that compiled code stopped at, as `add` does.

        For between two loans, with room for all of them: the transaction is taken in next.
        """
        return self._intern(tx, self.upcoming)

    @property
    def upcoming(self) -> int:
        """The watermark as it will be with the transaction that compiled code left to be met."""
        return int(self._ends[NOW])

    def adopt(self, texts: Sequence[bytes]) -> None:
        """Take over what was done to the parts: transactions of these ids were taken in."""
        ends = self._ends.tolist()
        if texts:
            # Compiled code never goes over the end of a page.
            self._texts[self.end >> PAGE_SHIFT] += b"".join(texts)
        witnesses = self._witnesses[: ends[WITNESSES]].tolist()
        self._mark.restore([(time, key) for time, key in witnesses])
        self.tail, self.end, self.link_tail, self.link_end, _, self.cutoff = ends[: CUTOFF + 1]
        self._give_back_pages()
        self.counts[Status.ACCEPTED] += len(texts)

    def transaction_id(self, position: int) -> str:
        """Id of a live transaction."""
        page, text = position >> PAGE_SHIFT, self._text
        row = self._row(position)
        blob = self._texts[page]
        last = position + 1 == self.end or (position + 1) & PAGE_MASK == 0
        stop = len(blob) if last else int(text[row + 1])
        return blob[int(text[row]) : stop].decode()

    def rows_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of live edges in the columns of `edges`."""
        return self._edge_columns.rows_at(positions)

    def hop(self, position: int) -> Hop:
        """A live edge as a step of a witness."""
        known = self._hops.get(position)
        if known is None:
            # A crowd that grows is told again and again, each time with the same hops.
            if len(self._hops) >= _HOPS_MOST:
                self._hops.clear()
            row, edges = self._row(position), self.edges
            value = int(edges.value[row])
            known = self._hops[position] = Hop(
                transaction_id=self.transaction_id(position),
                source=self.account(int(edges.source[row])),
                target=self.account(int(edges.target[row])),
                value=abs(value),
                timestamp=int(edges.time[row]),
                declined=value < 0,
            )
        return known

    def account(self, id_: int) -> Entity | None:
        """The user or merchant behind an account id; None for -1."""
        return None if id_ < 0 else self.accounts.entity(id_)

    def dealt(self, account: int, other: int, before: int) -> bool:
        """Whether a user had named another account as other party before a moment.

        As far back as links are kept (30 days unless configured otherwise).
        """
        position = self._link_kernel(
            self.links, self._link_table.table, account, -2 - other, self.link_tail, self.link_end
        )
        return position >= 0 and bool(self.links.first[self._link_row(position)] < before)

    def affected(self, position: int) -> tuple[list[int], bool]:
        """Later edges whose evidence a disordered edge may change.

        At most 256, looking at 2,000 edges.

        Returns:
            (positions in order of time, whether there may be more).
        """
        count, cut = kernels.later_edges(
            self.edges, self.tail, position, _LATER_HOPS, _LATER_BUDGET, self._later
        )
        found = [int(p) for p in self._later[:count]]
        edges = self.edges
        rows = {p: self._row(p) for p in found}
        found.sort(key=lambda p: (edges.time[rows[p]], edges.id_hash[rows[p]]))
        return found, bool(cut)

    @property
    def nbytes(self) -> int:
        """Bytes held for the live edges: columns, duplicate index, and the ids' text."""
        return (
            self._edge_columns.nbytes
            + self._edge_table.nbytes
            + sum(len(blob) for blob in self._texts.values())
        )

    def _give_back_pages(self) -> None:
        for page in self._edge_columns.release(self.tail):
            self._texts.pop(page, None)
        self._link_columns.release(self.link_tail)

    def _find(self, text: bytes, id_hash: int) -> int:
        """Position of the live transaction with this id, or -1."""
        skip = 0
        while True:
            position = int(
                self._find_kernel(
                    self.edges, self._edge_table.table, id_hash, self.tail, self.end, skip
                )
            )
            if position < 0 or self.transaction_id(position).encode() == text:
                return position
            skip += 1

    def _unchanged(self, status: Status, tx: Transaction, position: int = NONE) -> Admission:
        self.counts[status] += 1
        other = tx.other_party
        device, ip, card = (
            NONE if key is None else self.identifiers.find(kind, key)
            for kind, key in (
                (EntityKind.DEVICE, tx.device_id),
                (EntityKind.IP, tx.ip_address),
                (EntityKind.CARD, tx.card_id),
            )
        )
        user = self.accounts.find(EntityKind.USER, tx.user_id)
        ids = (
            user,
            NONE if other is None else self.accounts.find(other.kind, other.id),
            device,
            ip,
            card,
        )
        kernels.read_links(
            self.links,
            self._link_table.table,
            self.link_tail,
            self.link_end,
            self.watermark - self.config.retention,
            user,
            self._linked(ids),
            self._seen,
        )
        return Admission(status, position, *ids, links=self._relations(), disordered=False)

    def _intern(self, tx: Transaction, mark: int) -> tuple[int, int, int, int, int]:
        """Ids of its entities at a watermark: user, other party, device, IP, card."""
        now = tx.timestamp
        accounts, identifiers = self.accounts, self.identifiers
        user = accounts.intern(EntityKind.USER, tx.user_id, now, mark)
        other = device = ip = card = NONE
        if tx.counterparty_id is not None:
            other = accounts.intern(EntityKind.USER, tx.counterparty_id, now, mark)
        elif tx.merchant_id is not None:
            other = accounts.intern(EntityKind.MERCHANT, tx.merchant_id, now, mark)
        if tx.device_id is not None:
            device = identifiers.intern(EntityKind.DEVICE, tx.device_id, now, mark)
        if tx.ip_address is not None:
            ip = identifiers.intern(EntityKind.IP, tx.ip_address, now, mark)
        if tx.card_id is not None:
            card = identifiers.intern(EntityKind.CARD, tx.card_id, now, mark)
        return user, other, device, ip, card

    def _admit(self, tx: Transaction, id_hash: int, ids: tuple[int, int, int, int, int]) -> int:
        """Write the edge and the links; the answer of `kernels.append_edge`."""
        inward = tx.type in _INWARD
        user, other = ids[0], ids[1]
        mark = self._mark.time
        full = self.link_end - self.link_tail + EXPIRE_MOST + 4 > self.config.max_links
        self._edge_columns.reach(self.end)
        self._edge_table.make_room(1)
        self._link_columns.reach(self.link_end + EXPIRE_MOST + 4)
        self._link_table.make_room(EXPIRE_MOST + 4)
        spans = self._spans
        spans[0], spans[1], spans[2], spans[3] = self.tail, self.end, self.link_tail, self.link_end
        outcome: int = self._admit_kernel(
            self.edges,
            self._edge_table.table,
            self.links,
            self._link_table.table,
            spans,
            tx.timestamp,
            tx.value if tx.moves_money else -tx.value,
            other if inward else user,
            user if inward else other,
            id_hash,
            tx.timestamp >= self._mark.newest,
            self.cutoff,
            EVICT_MOST,
            DISORDER_BUDGET,
            user,
            self._linked(ids),
            mark - self.config.retention,
            mark,
            EXPIRE_MOST,
            full,
            self._seen,
        )
        return outcome

    def _linked(self, ids: Sequence[int]) -> NDArray[np.int64]:
        _, other, device, ip, card = ids
        entities = self._entities
        entities[0], entities[1], entities[2] = device, ip, card
        entities[3] = NONE if other < 0 else -2 - other
        return entities

    def _relations(self) -> tuple[Link, Link, Link, Link]:
        device, ip, card, other = self._seen.tolist()
        make = tuple.__new__  # a named tuple's own constructors are Python functions
        return make(Link, device), make(Link, ip), make(Link, card), make(Link, other)

    def _give_up_the_oldest(self) -> None:
        """Make room in a full window; everything as old as what goes is no longer part of it."""
        self._floor = max(self._floor, int(self.edges.time[self._row(self.tail)]) + 1)
        self.cutoff = max(self.cutoff, self._floor)
        self.pressed += 1
        self.tail = int(
            kernels.evict_edges(
                self.edges, self._edge_table.table, self.tail, self.end, _FOREVER, 1
            )
        )

    def _row(self, position: int) -> int:
        return self._edge_columns.row(position)

    def _link_row(self, position: int) -> int:
        return self._link_columns.row(position)

    def still(self) -> Self:
        """A copy to be read by another thread while this window goes on.

        It answers what heuristics and the sweep ask (edges, links, names, hops); transactions
        cannot be added to it. O(live edges + live links + entities), plain copying.
        """
        cls = type(self)
        copied = cls(self.config)
        copied.accounts.copy_names(self.accounts)
        copied.identifiers.copy_names(self.identifiers)
        copied._mark.restore(self._mark.snapshot())
        copied._edge_columns.copy_live(self._edge_columns)
        copied._link_columns.copy_live(self._link_columns)
        copied._link_table = self._link_table.copy()
        n, m = self.accounts.size, self.identifiers.size
        for mine, theirs, size in (
            (copied.edges.newest_out, self.edges.newest_out, n),
            (copied.edges.newest_in, self.edges.newest_in, n),
            (copied.links.newest_of_user, self.links.newest_of_user, n),
            (copied.links.newest_of_identifier, self.links.newest_of_identifier, m),
        ):
            mine[:size] = theirs[:size]
        # Only the text of the last page still grows.
        copied._texts = dict(self._texts)
        last = self.end >> PAGE_SHIFT
        if last in copied._texts:
            copied._texts[last] = copied._texts[last].copy()
        copied.tail, copied.end = self.tail, self.end
        copied.link_tail, copied.link_end = self.link_tail, self.link_end
        copied._floor, copied.cutoff, copied.pressed = self._floor, self.cutoff, self.pressed
        return copied

    def live_rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of every edge and of every link still in the logs, in order of position."""
        return (
            self._edge_columns.rows(self.tail, self.end),
            self._link_columns.rows(self.link_tail, self.link_end),
        )

    def snapshot(self) -> bytes:
        """The whole state; equal windows give equal bytes."""
        arrays: dict[str, NDArray[Any]] = {}
        rows = self._edge_columns.rows(self.tail, self.end)
        for i, column in enumerate(self._edge_columns.columns[:-1]):
            arrays[f"edge{i}"] = column[rows]
        rows = self._link_columns.rows(self.link_tail, self.link_end)
        for i, column in enumerate(self._link_columns.columns):
            arrays[f"link{i}"] = column[rows]
        n, m = self.accounts.size, self.identifiers.size
        arrays["newest_out"] = self.edges.newest_out[:n]
        arrays["newest_in"] = self.edges.newest_in[:n]
        arrays["newest_of_user"] = self.links.newest_of_user[:n]
        arrays["newest_of_identifier"] = self.links.newest_of_identifier[:m]
        values: dict[str, Any] = {
            "config": asdict(self.config),
            "mark": self._mark.snapshot(),
            "span": [self.tail, self.end, self.link_tail, self.link_end],
            "pressed": self.pressed,
            "floor": self._floor,
            "cutoff": self.cutoff,
            "counts": {status.value: n for status, n in self.counts.items()},
            "ids": [self.transaction_id(p) for p in range(self.tail, self.end)],
        }
        for name, space in (("accounts", self.accounts), ("identifiers", self.identifiers)):
            part = space.snapshot()
            values[name] = part.values
            arrays.update({f"{name}.{key}": array for key, array in part.arrays.items()})
        return pack("window", _VERSION, Snapshot(values, arrays))

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """A window that goes on where the snapshot was taken.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        snapshot = unpack("window", _VERSION, data)
        values, arrays = snapshot.values, snapshot.arrays
        window = cls(WindowConfig(**values["config"]))
        for name, space in (("accounts", window.accounts), ("identifiers", window.identifiers)):
            space.restore(values[name], _part(arrays, name))
        window._mark.restore(values["mark"])
        window.tail, window.end, window.link_tail, window.link_end = values["span"]
        window.pressed, window._floor = values["pressed"], values["floor"]
        window.cutoff = values["cutoff"]
        window.counts = {Status(name): n for name, n in values["counts"].items()}
        for heads, array in (
            (window.edges.newest_out, arrays["newest_out"]),
            (window.edges.newest_in, arrays["newest_in"]),
            (window.links.newest_of_user, arrays["newest_of_user"]),
            (window.links.newest_of_identifier, arrays["newest_of_identifier"]),
        ):
            heads[: len(array)] = array
        window._edge_columns.start_at(window.tail, window.end)
        rows = window._edge_columns.rows(window.tail, window.end)
        for i, column in enumerate(window._edge_columns.columns[:-1]):
            column[rows] = arrays[f"edge{i}"]
        for position, row, text in zip(
            range(window.tail, window.end), rows, values["ids"], strict=True
        ):
            blob = window._texts.setdefault(position >> PAGE_SHIFT, bytearray())
            window._text[row] = len(blob)
            blob += text.encode()
        window._link_columns.start_at(window.link_tail, window.link_end)
        rows = window._link_columns.rows(window.link_tail, window.link_end)
        for i, column in enumerate(window._link_columns.columns):
            column[rows] = arrays[f"link{i}"]
        window._edge_table = GrowingTable(window.end - window.tail)
        kernels.index_log(
            window.edges.pages,
            window.edges.id_hash,
            window._edge_table.table,
            window.tail,
            window.end,
        )
        window._link_table = GrowingTable(window.link_end - window.link_tail)
        kernels.index_log(
            window.links.pages,
            window.links.key_hash,
            window._link_table.table,
            window.link_tail,
            window.link_end,
        )
        return window


def _part(arrays: Any, name: str) -> dict[str, NDArray[Any]]:
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
