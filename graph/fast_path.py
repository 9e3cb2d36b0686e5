"""The fast path: many transactions of which nothing is to be told, in one call into compiled code.

Nine of ten transactions complete no pattern. For them everything between the window's `add` and
the heuristics' silence is a few loops over columns, and what they cost in an interpreter is the
interpreter. So a batch is laid out in columns once, and one kernel takes it in, row by row, until
it meets a row that is not its business:

    NEWCOMER   left as it was: it names somebody who has no id yet, and is given one
    DUE        left as it was: something falls due at its time
    ATTENTION  left as it was: a duplicate, late or ahead, blocked, or a log or table that has to
               grow
    ADMITTED   in the window, and some heuristic may have something to say (or it arrived out of
               order, so that later edges may too)
    REFUSED    it belongs too deep in a chain: late (see `graph.kernels.append_edge`)

A newcomer is met and the kernel goes on with the same row; any other row goes the long way, one
step at a time, and the kernel (`graph.fast_kernel`) goes on behind it. Both ways give the same
verdicts and the same state; `tests/property/test_fast_path.py` holds them to it.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from graph.account_kernel import AccountPath
from graph.admission import Admission, Link, Status
from graph.compiled import bind
from graph.entities import SHARDS
from graph.evidence import Pattern
from graph.fast_kernel import (
    DISORDERED,
    UNKNOWN,
    Limits,
    Scratch,
    Stop,
    Told,
    advance,
    look_again,
)
from graph.heuristics import EVERYBODY, Catalogue, fan, scatter_gather, tree_search
from graph.heuristics.structuring import MOST_PAID_IN
from graph.heuristics.witness import reach
from graph.kernels import NONE
from graph.layout import (
    ASIDE,
    CARD,
    CASH_CATEGORIES,
    CASH_CHANNELS,
    DEVICE,
    IP,
    LINKS,
    OTHER,
    USER,
    WATERMARK,
    WIDTH,
)
from graph.lists import ListName
from graph.thresholds import LAYER_SIDE, MOST_CHAIN_HOPS, MOST_HOPS
from graph.transaction import EntityKind, Outcome, Transaction, TransactionType
from graph.window import (
    TransactionWindow,
    WindowParts,
)

_DEPOSIT: Final = TransactionType.DEPOSIT
_REFUND: Final = TransactionType.REFUND
_WITHDRAWAL: Final = TransactionType.WITHDRAWAL
_DECLINED: Final = Outcome.DECLINED
_NOWHERE: Final = (float("nan"), float("nan"))


_LEAVE_AS_LENT: Final = (Stop.NOTHING, Stop.ADMITTED, Stop.NEWCOMER)


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
        self._limits = Limits(
            lateness=config.lateness,
            ahead=config.most_ahead,
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
            fan_fresh_share=float(limits.fan_fresh_share),
            fan_passes_on=float(limits.fan_passes_on),
            acquaintance_scan=limits.acquaintance_scan,
            chain_within=reach(into, limits.chain_within),
            chain_hops=limits.chain_hops,
            chain_keeps=float(limits.chain_keeps),
            chain_scan=limits.chain_scan,
            relay_within=reach(into, limits.relay_within),
            relay_intermediaries=limits.relay_intermediaries,
            relay_passes_on=float(limits.relay_passes_on),
            relay_scan=limits.relay_scan,
            layer_within=reach(into, limits.layer_within),
            layer_side=limits.layer_side,
            layer_density=float(limits.layer_density),
            layer_accounts=limits.layer_accounts,
            layer_scan=limits.layer_scan,
            stack_accounts=limits.stack_accounts,
            tree_within=reach(into, limits.tree_within),
            tree_span=reach(into, tree_search.LEVELS * limits.tree_within),
            tree_carries=float(limits.tree_carries),
            tree_passes_on=float(limits.tree_passes_on),
            tree_accounts=limits.tree_accounts,
            tree_scan=limits.tree_scan,
            structuring_within=reach(into, limits.structuring_within),
            structuring=catalogue.structuring.limits,
            ip_users=limits.ip_users,
            witness=limits.witness,
        )
        shared = catalogue.sharing.told
        self._told = Told(
            mule=_table(catalogue.mules.told),
            fan=_table(catalogue.fans.told),
            collector=_table(catalogue.collectors.told),
            layers=_table(catalogue.layers.told),
            trees=_table(catalogue.trees.told),
            structuring=_table(catalogue.structuring.told),
            device=_table(shared[Pattern.SHARED_DEVICE]),
            card=_table(shared[Pattern.SHARED_CARD]),
            ip=_table(shared[Pattern.SHARED_IP]),
        )
        self._scratch = Scratch(
            entities=np.zeros(4, np.int64),
            seen=np.zeros((4, 3), np.int64),
            attempts=np.zeros(catalogue.velocity.most, np.int64),
            cycles=np.zeros((1, MOST_HOPS), np.int64),
            hops=np.zeros(1, np.int64),
            path=np.zeros((2, MOST_HOPS), np.int64),
            ins=np.zeros((2, limits.mule_scan), np.int64),
            outs=np.zeros(limits.mule_scan + 1, np.int64),
            senders=np.zeros(limits.mule_senders, np.int64),
            crowd_senders=np.zeros(limits.fan_counterparties, np.int64),
            flows=np.zeros((2 * limits.mule_scan + 1, 4), np.int64),
            crowds=np.zeros((2, limits.fan_scan + 1), np.int64),
            crowd=np.zeros(fan.table_size(limits.fan_scan), np.int32),
            others=np.zeros(limits.fan_scan + 1, np.int64),
            known=np.zeros(limits.fan_scan + 1, np.bool_),
            chain=np.zeros(MOST_CHAIN_HOPS, np.int64),
            chain_path=np.zeros((2, MOST_CHAIN_HOPS), np.int64),
            sources=np.zeros((3, scatter_gather.SOURCES), np.int64),
            hands=np.zeros((2, scatter_gather.HANDS), np.int64),
            legs=np.zeros((2, scatter_gather.HANDS), np.int64),
            sides=np.zeros((3, LAYER_SIDE), np.int64),
            bits=np.zeros((3, LAYER_SIDE), np.int64),
            pairs=np.zeros((2, LAYER_SIDE * LAYER_SIDE), np.int64),
            tree=np.zeros(limits.witness, np.int64),
            tree_hops=np.zeros((2, 2 * limits.witness), np.int64),
            tree_ins=np.zeros((3, limits.tree_flows), np.int64),
            tree_outs=np.zeros(limits.tree_flows, np.int64),
            just_under=np.zeros((2, limits.structuring_scan + 1), np.int64),
            paid_in=np.zeros(MOST_PAID_IN, np.int64),
            links=np.zeros(limits.sharing_scan, np.int64),
            there=np.zeros(limits.sharing_scan, np.int64),
            joined=np.zeros(limits.sharing_scan, np.int64),
            unfinished=catalogue.unfinished.places,
        )
        self._accounts = AccountPath(into, catalogue)
        self.arrivals: NDArray[np.int64] = np.zeros((1, WIDTH), np.int64)
        self._places: NDArray[np.float64] = np.zeros((1, 2), np.float64)
        self._texts: list[bytes] = []
        self._transactions: Sequence[Transaction] = ()
        self._parts: WindowParts | None = None  # while nothing else has changed the window
        travel = catalogue.travel.columns(into.accounts.capacity)
        self._kernel = bind(advance, *self._arguments(into.lend(), travel), 0, 0, 0)
        # Whose search is cut short when an edge is looked at again, was noted when it came.
        self._again = self._scratch._replace(unfinished=np.zeros(2, np.int64))
        nothing = np.zeros(0, np.int64)
        self._look_again = bind(look_again, *self._about(nothing, nothing))

    def lay_out(self, transactions: Sequence[Transaction]) -> None:
        """Put a batch into columns: `arrivals`, int64 [N, WIDTH], to be advanced through."""
        count = len(transactions)
        if count > len(self.arrivals):
            self.arrivals = np.zeros((count, WIDTH), np.int64)
            self._places = np.zeros((count, 2), np.float64)
        lists = self._heuristics.lists
        digest, none, reverse = xxhash.xxh32_intdigest, NONE, (_DEPOSIT, _REFUND)
        channels, categories = CASH_CHANNELS, CASH_CATEGORIES
        self._texts = texts = [tx.transaction_id.encode() for tx in transactions]
        rows = [
            (
                tx.timestamp,
                -tx.value if tx.outcome is _DECLINED else tx.value,
                (kind := tx.type) in reverse,
                # As graph.layout.is_cash_like, without a call a transaction.
                kind is _WITHDRAWAL or tx.channel in channels or tx.merchant_category in categories,
                tx.timestamp if (opened := tx.user_created_at) is None else opened,
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
        if start == stop:  # the last row of a batch gave ids back: nobody is left to ask about
            return
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
                is stopped at.

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
        links = tuple(Link(*at[k : k + 3]) for k in range(LINKS, WATERMARK, 3))
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
            at[ASIDE] >= DISORDERED,
        )

    def speakers(self, row: int) -> int:
        """Who may have something to say of a row that was `ADMITTED`, as `Speaker` flags."""
        return int(self.arrivals[row, ASIDE]) & EVERYBODY

    def speakers_again(self, positions: Sequence[int]) -> list[int]:
        """Which money patterns may have something to say of live edges, as `Speaker` flags.

        For the edges that a disordered one may explain (`TransactionWindow.affected`): of a busy
        account these are hundreds, and hardly any of them completes a thing.
        """
        found = np.zeros(len(positions), np.int64)
        self._look_again(*self._about(np.array(positions, np.int64), found))
        speakers: list[int] = found.tolist()
        return speakers

    def _about(self, positions: NDArray[np.int64], found: NDArray[np.int64]) -> tuple[Any, ...]:
        return self._window.lend(), self._limits, self._told, self._again, positions, found

    def _arguments(self, parts: WindowParts, travel: tuple[NDArray[Any], ...]) -> tuple[Any, ...]:
        limits, told, scratch = self._limits, self._told, self._scratch
        return (
            parts,
            travel,
            self._accounts.lend(),
            limits,
            told,
            scratch,
            self.arrivals,
            self._places,
        )


def _table(sizes: frozenset[int]) -> NDArray[np.uint8]:
    table = np.zeros(max(sizes) + 1, np.uint8)
    table[list(sizes)] = 1
    return table
