"""The fast path's share of what accounts, cards and merchants usually do.

`may_speak` is the twin of the heuristics that compare an account with itself: it may take for a
speaker who has nothing to say, never the other way round. `settle` is what `Catalogue.note` does
for a transaction that went the long way. `graph.fast_kernel` calls both.
"""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph import attempts, layout, profiles
from graph.attempts import A_BACK_DEVICE, A_BACK_MERCHANT, AttemptColumns
from graph.compiled import kernel
from graph.heuristics import (
    Catalogue,
    Speaker,
    acquaintance,
    bust_out,
    card_testing,
    clientele,
    collusion,
    dormancy,
    refunds,
    returners,
    spree,
    synthetic,
    takeover,
)
from graph.heuristics.witness import reach
from graph.kernels import KIND_MERCHANT
from graph.layout import CARD, DEVICE, OTHER
from graph.profiles import ProfileColumns, ProfileLimits
from graph.thresholds import Thresholds
from graph.window import LINK_TAIL, TAIL, TransactionWindow

_DORMANCY: Final = int(Speaker.DORMANCY)
_TAKEOVERS: Final = int(Speaker.TAKEOVERS)
_BUST_OUTS: Final = int(Speaker.BUST_OUTS)
_CARD_TESTING: Final = int(Speaker.CARD_TESTING)
_COLLUSION: Final = int(Speaker.COLLUSION)
_REFUNDS: Final = int(Speaker.REFUNDS)
_SYNTHETIC: Final = int(Speaker.SYNTHETIC)

_MODULES: Final = (
    acquaintance, attempts, bust_out, card_testing, clientele, collusion, dormancy, layout,
    profiles, refunds, returners, spree, synthetic, takeover,
)  # fmt: skip
SOURCES: Final = (Path(__file__), *(Path(str(module.__file__)) for module in _MODULES))
"""Files whose kernels and constants are used here."""


class AccountLimits(NamedTuple):
    """The thresholds, as compiled code takes them; see `graph.thresholds`."""

    retention: int
    lateness: int
    dormant_within: int
    dormant_after: int
    dormant_moves: int
    dormant_unseen: int
    dormant_linked: float
    takeover_within: int
    takeover_times: float
    takeover_history: int
    bust_out_weeks: int
    bust_out_times: float
    bust_out_reversals: int
    bust_out_cash_share: float
    bust_out_strain: float
    spree_within: int
    spree_merchants: int
    spree_after: int
    sharing_scan: int
    testing_within: int
    testing_cards: int
    testing_each: float
    testing_declined: float
    testing_low: int
    testing_known: int
    testing_surge: float
    testing_worse: float
    collusive_least: int
    collusive_regular: int
    collusive_share_linked: float
    collusive_share: float
    collusive_refunds: float
    collusive_devices: float
    collusive_surge: int
    collusive_surge_share: float
    collusive_surge_refunds: int
    refund_count: int
    refund_merchants: int
    refund_share: float
    refund_each: int
    refund_each_share: float
    synthetic_users: int
    synthetic_attributes: int
    synthetic_popular: int
    synthetic_history: int
    synthetic_young: int


class AccountScratch(NamedTuple):
    """What the searches write and nobody reads; and the sizes at which collusion is told."""

    moves: NDArray[np.int64]
    tried: NDArray[np.int64]
    table: NDArray[np.int64]
    rows: NDArray[np.int64]
    group: NDArray[np.int64]
    shops: NDArray[np.int64]
    shared: NDArray[np.int64]
    twins: NDArray[np.int64]
    deals: NDArray[np.uint8]
    clients: NDArray[np.int64]
    pairs: NDArray[np.int64]
    friends: NDArray[np.int64]


class Accounts(NamedTuple):
    """Everything `may_speak` and `settle` need beside the window."""

    profiles: ProfileColumns
    attempts: AttemptColumns
    noting: ProfileLimits
    limits: AccountLimits
    scratch: AccountScratch


class AccountPath:
    """Hands the catalogue's memory of accounts to compiled code.

    Args:
        into: The window.
        catalogue: Whose memory it is.
    """

    def __init__(self, into: TransactionWindow, catalogue: Catalogue) -> None:
        self._window = into
        self._heuristics = catalogue
        limits = catalogue.thresholds
        self._limits = _limits(into, limits)
        self._scratch = AccountScratch(
            moves=np.zeros((2, limits.dormant_scan), np.int64),
            tried=np.zeros(limits.card_testing_scan, np.int64),
            table=np.zeros(card_testing.table_size(limits.card_testing_scan), np.int64),
            rows=np.zeros(limits.refund_users + 1, np.int64),
            group=np.zeros(limits.refund_users + 1, np.int64),
            shops=np.zeros(refunds.shops_of(limits.refund_users), np.int64),
            shared=np.zeros((limits.synthetic_scan, 2), np.int64),
            twins=np.zeros((limits.synthetic_scan, synthetic.TWIN), np.int64),
            deals=catalogue.collusion.told_table,
            clients=np.zeros((3, clientele.MOST_CLIENTS), np.int64),
            pairs=np.zeros(collusion.pairs_of(limits.sharing_scan), np.int64),
            friends=np.zeros(limits.witness, np.int64),
        )

    def lend(self) -> Accounts:
        """The memory as it is now, for compiled code to change as `Catalogue.note` does."""
        known = self._heuristics.profiles
        return Accounts(
            known.columns(self._window),
            self._heuristics.card_testing.attempts.columns(self._window),
            known.limits,
            self._limits,
            self._scratch,
        )


def _limits(into: TransactionWindow, limits: Thresholds) -> AccountLimits:
    return AccountLimits(
        retention=into.config.retention,
        lateness=into.config.lateness,
        dormant_within=reach(into, limits.dormant_within),
        dormant_after=limits.dormant_after,
        dormant_moves=limits.dormant_moves,
        dormant_unseen=limits.dormant_unseen,
        dormant_linked=float(limits.dormant_linked),
        takeover_within=limits.takeover_within,
        takeover_times=float(limits.takeover_times),
        takeover_history=limits.takeover_history,
        bust_out_weeks=limits.bust_out_weeks,
        bust_out_times=float(limits.bust_out_times),
        bust_out_reversals=limits.bust_out_reversals,
        bust_out_cash_share=float(limits.bust_out_cash_share),
        bust_out_strain=float(limits.bust_out_strain),
        spree_within=limits.spree_within,
        spree_merchants=limits.spree_merchants,
        spree_after=limits.spree_after,
        sharing_scan=limits.sharing_scan,
        testing_within=limits.card_testing_within,
        testing_cards=limits.card_testing_cards,
        testing_each=float(limits.card_testing_each),
        testing_declined=float(limits.card_testing_declined),
        testing_low=limits.card_testing_low,
        testing_known=limits.card_testing_known,
        testing_surge=float(limits.card_testing_surge),
        testing_worse=float(limits.card_testing_worse),
        collusive_least=limits.collusive_least,
        collusive_regular=limits.collusive_regular,
        collusive_share_linked=float(limits.collusive_share_linked),
        collusive_share=float(limits.collusive_share),
        collusive_refunds=float(limits.collusive_refunds),
        collusive_devices=float(limits.collusive_devices),
        collusive_surge=limits.collusive_surge,
        collusive_surge_share=float(limits.collusive_surge_share),
        collusive_surge_refunds=limits.collusive_surge_refunds,
        refund_count=limits.refund_count,
        refund_merchants=limits.refund_merchants,
        refund_share=float(limits.refund_share),
        refund_each=limits.refund_each,
        refund_each_share=float(limits.refund_each_share),
        synthetic_users=limits.synthetic_users,
        synthetic_attributes=limits.synthetic_attributes,
        synthetic_popular=limits.synthetic_popular,
        synthetic_history=limits.synthetic_history,
        synthetic_young=limits.synthetic_young,
    )


@kernel(cache=False)  # not cached by itself: its callees are in other files
def may_speak(parts, accounts, row, now):  # type: ignore[no-untyped-def]
    """Who may have something to say of a row just admitted, as `Speaker` flags.

    Mutates scratch only.
    """
    limits, scratch, users = accounts.limits, accounts.scratch, accounts.profiles.users
    edges, generations, kinds = parts.edges, parts.account_generation, parts.edges.account_kind
    link_tail, oldest = parts.ends[LINK_TAIL], now - limits.retention
    found = 0
    moves, _, _, _, _ = dormancy.burst_at(
        edges, accounts.profiles, generations, parts.ends[TAIL], row, limits.dormant_within,
        limits.dormant_after, limits.dormant_unseen, limits.dormant_moves, limits.dormant_linked,
        scratch.moves,
    )  # fmt: skip
    if moves > 0:
        found |= _DORMANCY
    if takeover.is_taken(
        users, generations, row, limits.takeover_within, limits.takeover_times,
        limits.takeover_history,
    ):  # fmt: skip
        found |= _TAKEOVERS
    spent, _, _, _, _, _ = bust_out.busts(
        users, generations, row, limits.bust_out_weeks, limits.bust_out_times,
        limits.bust_out_reversals, limits.bust_out_cash_share,
    )  # fmt: skip
    strained, _, _, _, _, _, _, _ = bust_out.strains(
        users, generations, kinds, row, limits.bust_out_reversals, limits.bust_out_strain,
    )  # fmt: skip
    _, company, _ = spree.spree_at(
        parts.links, link_tail, kinds, accounts.profiles, generations, row, oldest,
        limits.spree_within, limits.spree_merchants, limits.spree_after, limits.sharing_scan,
        scratch.friends,
    )  # fmt: skip
    if spent > 0 or strained or company > 0:
        found |= _BUST_OUTS
    if row[CARD] >= 0 and _tests(parts, accounts, row):
        found |= _CARD_TESTING
    asked = clientele.asks(
        accounts.profiles.merchants, generations, kinds, row, scratch.deals,
        limits.collusive_least, limits.collusive_regular, limits.collusive_share_linked,
        limits.collusive_surge, limits.collusive_surge_share,
    )  # fmt: skip
    for memory in (clientele.FADED, clientele.SURGE):
        if asked & memory and collusion.may_collude(
            accounts.profiles.merchants, generations, row, memory == clientele.SURGE, parts.links,
            parts.identifier_kind, link_tail, oldest, limits.collusive_regular,
            limits.collusive_share, limits.collusive_refunds, limits.collusive_devices,
            limits.collusive_surge_refunds, limits.sharing_scan, scratch.clients, scratch.pairs,
        ):  # fmt: skip
            found |= _COLLUSION
    returned, _, _, _, _ = refunds.refunds_at(
        parts.links, link_tail, oldest, users, generations, kinds, row, limits.refund_count,
        limits.refund_merchants, limits.refund_share, scratch.rows, scratch.group, scratch.shops,
    )  # fmt: skip
    company, _, _, _, _ = returners.company_at(
        parts.links, link_tail, kinds, users, generations, row, oldest, limits.refund_each,
        limits.refund_each_share, limits.sharing_scan, scratch.friends,
    )  # fmt: skip
    if returned > 0 or company > 0:
        found |= _REFUNDS
    twins, _, _ = synthetic.twins_of(
        parts.links, parts.identifier_kind, link_tail, oldest, users, generations, row,
        limits.synthetic_attributes, limits.synthetic_popular, limits.synthetic_history,
        limits.synthetic_young, scratch.shared, scratch.twins,
    )  # fmt: skip
    if twins + 1 >= limits.synthetic_users:
        found |= _SYNTHETIC
    return found


@kernel(cache=False)
def _tests(parts, accounts, row):  # type: ignore[no-untyped-def]
    """Whether a card seems to be tested at the row's merchant or on its device."""
    known, other, device = accounts.attempts, row[OTHER], row[DEVICE]
    limits, scratch = accounts.limits, accounts.scratch
    if other >= 0 and parts.edges.account_kind[other] == KIND_MERCHANT:
        cards, _, _, _ = card_testing.tests_at(
            known.log, known.ends, known.merchants, parts.account_generation, other,
            A_BACK_MERCHANT, row, limits.testing_within, limits.testing_cards, limits.testing_each,
            limits.testing_declined, limits.testing_low, limits.testing_known,
            limits.testing_surge, limits.testing_worse, scratch.table, scratch.tried,
        )  # fmt: skip
        if cards > 0:
            return True
    if device < 0:
        return False
    cards, _, _, _ = card_testing.tests_at(
        known.log, known.ends, known.devices, parts.identifier_generation, device, A_BACK_DEVICE,
        row, limits.testing_within, limits.testing_cards, limits.testing_each,
        limits.testing_declined, limits.testing_low, limits.testing_known, limits.testing_surge,
        limits.testing_worse, scratch.table, scratch.tried,
    )  # fmt: skip
    return cards > 0


@kernel(cache=False)
def settle(parts, accounts, row, position, now):  # type: ignore[no-untyped-def]
    """Note a transaction of which nothing is to be told. Mutates the memory of accounts."""
    limits, kinds = accounts.limits, parts.edges.account_kind
    profiles.note(accounts.profiles, accounts.noting, parts.account_generation, kinds, row)
    attempts.note(
        accounts.attempts, limits.testing_within, limits.testing_low,
        now - limits.lateness - limits.testing_within, parts.account_generation, kinds,
        parts.identifier_generation, row, position,
    )  # fmt: skip
