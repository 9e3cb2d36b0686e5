"""Many cards, few of them alive: card testing.

Behaviour
    A list of stolen or guessed card numbers is tried out with small payments, at a shop that does
    not look closely or from a script's one device. Most are declined; the rest are sold.

Definition
    An attempt is a payment, transfer or withdrawal that names a card, declined or not; it is a
    probe if it is of `card_testing_low` minor units or less or, where the one at hand is of more,
    of the same amount. A card that is probed for the first time within `card_testing_within` at a
    merchant, or on a device, is told of as testing if, over the probes there in that span and this
    one,

    - at least `card_testing_cards` distinct cards were tried;
    - by few: at least `card_testing_each` cards a user who tried; or, at a merchant and with small
      probes, in the holders' names, a card or so each;
    - at least `card_testing_declined` of them were declined;
    - and, where something was tried in `card_testing_known` earlier spans, it is unlike the place:
      the cards are at least `card_testing_surge` times the probes of its mean span, and the
      declined share `card_testing_worse` times theirs (95 % is always enough). Where the probes are
      not small, all attempts of the place are what they are compared with.

    Told card by card up to `told_singly`, then each time the cards grew by a quarter. Named are
    the place, who tried, the cards, and who had used these before: their holders. Cards are tokens:
    the range of numbers (BIN) they come from cannot be seen, so every card counts alike.

Method and cost
    A meter a merchant and a device knows when attempts last failed there: O(1) where there were too
    few. Else a walk over the newest attempts of the place (`graph.attempts`), O(k) for k of them,
    at most `card_testing_scan` (then `truncated`, judged on the newest). When told, the newest four
    users of each of at most `witness` cards.

Misses
    Tests spread over many shops and devices, or slower than the span; few declines, where numbers
    are bought fresh; larger probes in the holders' names.

False positives
    A ticket drop: many cards at one price, but most go through, and each is somebody else's. An
    outage: most fail, but the cards are no more than usual. A kiosk or a machine with small prices
    whose terminal fails on its first days. An agent who books for a group, when the bank says no.

Source
    Visa, "Anti-enumeration and account testing best practices for merchants", 2020.

>>> from graph.profiles import Profiles
>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Outcome, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, testing = TransactionWindow(), CardTesting(Thresholds(), Profiles(Thresholds()))
>>> for n in range(6):
...     tx = Transaction(f"t{n}", 30_000 * (n + 1), TransactionType.PAYMENT, Money(100, "EUR"),
...                      100, "a", merchant_id="shop", card_id=f"card{n}",
...                      outcome=Outcome.DECLINED if n % 2 else None)
...     admission = window.add(tx)
...     found = testing.detect(window, tx, admission)
...     testing.note(window, tx, admission)
>>> found[0].reason
'6 cards were tried at merchant:shop within 30 min, 3 of 6 attempts declined.'
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.attempts import (
    A_BACK_DEVICE,
    A_BACK_MERCHANT,
    A_CARD,
    A_POSITION,
    A_TIME,
    A_USER,
    A_VALUE,
    FAILED_BEFORE,
    FAILURES,
    FAILURES_KEPT,
    GENERATION,
    HEAD,
    NEXT,
    SMALL_BEFORE,
    SMALL_FAILED_BEFORE,
    SPANS,
    TAIL,
    TRIED_BEFORE,
    Attempts,
)
from graph.columns import power_of_two
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics.identity import links_of
from graph.heuristics.witness import span_in_words, witness
from graph.kernels import KIND_MERCHANT
from graph.layout import CARD, INWARD, TIME, USER, VALUE
from graph.profiles import Profiles
from graph.thresholds import Thresholds, told_counts
from graph.transaction import Entity, EntityKind, Transaction
from graph.window import TransactionWindow

_EMPTY: Final = np.iinfo(np.int64).min
_EVER: Final = 0.95
"""A declined share that is testing wherever it is."""
_HOLDERS: Final = 4
"""Users of a tested card that are named; a family card has fewer."""


class CardTesting:
    """Finds card testing at merchants and on devices; see the module's docstring.

    `strength` is 0.5, plus up to 0.2 for the cards (three times the threshold is full), plus up to
    0.2 for declines beyond the threshold (all of them is full).

    Attributes:
        attempts: The log that it looks at.
    """

    def __init__(self, thresholds: Thresholds, profiles: Profiles) -> None:
        self.thresholds: Final = thresholds
        self.attempts: Final = Attempts(thresholds.card_testing_within, thresholds.card_testing_low)
        self._profiles: Final = profiles
        scan = thresholds.card_testing_scan
        self.told = told_counts(thresholds.card_testing_cards, thresholds.told_singly, scan + 1)
        self._tried: NDArray[np.int64] = np.zeros(scan, np.int64)
        self._table: NDArray[np.int64] = np.zeros(table_size(scan), np.int64)
        self._holders: NDArray[np.int64] = np.zeros(_HOLDERS, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None
        self._holders_kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this attempt makes its merchant, or its device, a place of testing."""
        if admission.status is not Status.ACCEPTED or admission.card < 0:
            return ()
        columns = self.attempts.columns(window)
        found: list[Evidence] = []
        row = self._profiles.row(tx, admission)
        if admission.other >= 0 and window.accounts.kind[admission.other] == KIND_MERCHANT:
            found += self._at(
                window, row, admission.other, columns.merchants, window.accounts.generation,
                A_BACK_MERCHANT,
            )  # fmt: skip
        if admission.device >= 0:
            found += self._at(
                window, row, admission.device, columns.devices, window.identifiers.generation,
                A_BACK_DEVICE,
            )  # fmt: skip
        return found

    def note(self, window: TransactionWindow, tx: Transaction, admission: Admission) -> None:
        """Take an accepted transaction into the log, after everybody has looked."""
        if admission.status is Status.ACCEPTED and admission.card >= 0:
            self.attempts.note(window, self._profiles.row(tx, admission), admission)

    def _at(
        self,
        window: TransactionWindow,
        row: NDArray[np.int64],
        place: int,
        meters: NDArray[np.int64],
        generations: NDArray[np.int32],
        back: int,
    ) -> Sequence[Evidence]:
        limits, columns = self.thresholds, self.attempts.columns(window)
        arguments = (
            columns.log,
            columns.ends,
            meters,
            generations,
            place,
            back,
            row,
            limits.card_testing_within,
            limits.card_testing_cards,
            limits.card_testing_each,
            limits.card_testing_declined,
            limits.card_testing_low,
            limits.card_testing_known,
            limits.card_testing_surge,
            limits.card_testing_worse,
            self._table,
            self._tried,
        )
        self._kernel = self._kernel or bind(tests_at, *arguments)
        cards, attempts, failed, truncated = self._kernel(*arguments)
        if cards not in self.told:
            return ()
        cards, attempts, failed = int(cards), int(attempts), int(failed)
        rows = columns.log[self._tried[: attempts - 1] & (len(columns.log) - 1)]
        return [self._evidence(window, row, place, back, rows, cards, failed, bool(truncated))]

    def _evidence(
        self,
        window: TransactionWindow,
        row: NDArray[np.int64],
        place: int,
        back: int,
        rows: NDArray[np.int64],
        cards: int,
        failed: int,
        truncated: bool,  # noqa: FBT001  # what the search said, passed on
    ) -> Evidence:
        limits, attempts = self.thresholds, len(rows) + 1
        shown = rows[: limits.witness - 1]
        live = [p for p in shown[:, A_POSITION].tolist() if window.tail <= p]
        hops = witness(window, [*live, window.end - 1])
        at_merchant = back == A_BACK_MERCHANT
        space = window.accounts if at_merchant else window.identifiers
        where = space.entity(place)
        members: dict[Entity, Role] = {where: Role.VICTIM if at_merchant else Role.SHARED}
        triers = {user for user in [int(row[USER]), *shown[:, A_USER].tolist()] if user >= 0}
        tried = dict.fromkeys([int(row[CARD]), *shown[:, A_CARD].tolist()])
        few = len(tried) >= limits.card_testing_each * len(triers)
        for user in [int(row[USER]), *shown[:, A_USER].tolist()]:
            if user >= 0:
                members.setdefault(
                    window.accounts.entity(user), Role.MEMBER if few else Role.VICTIM
                )
        for card in tried:
            members.setdefault(window.identifiers.entity(card), Role.VICTIM)
        holders = 0
        for card in tried:
            for user in self._users_of(window, card):
                if user not in triers and window.accounts.entity(user) not in members:
                    members[window.accounts.entity(user)] = Role.VICTIM
                    holders += 1
        crowd = (cards - limits.card_testing_cards) / (2 * limits.card_testing_cards)
        share = failed / attempts
        worse = share - limits.card_testing_declined
        return Evidence(
            pattern=Pattern.CARD_TESTING,
            seen_at=int(row[TIME]),
            members=tuple(members.items()),
            hops=hops,
            strength=(
                0.5
                + 0.2 * min(crowd, 1)
                + 0.2 * worse / max(1 - limits.card_testing_declined, 0.01)
            ),
            reason=(
                f"{cards} cards were tried {'at' if where.kind is EntityKind.MERCHANT else 'on'} "
                f"{where} within {span_in_words(limits.card_testing_within)}, "
                f"{failed} of {attempts} attempts declined."
            ),
            facts={
                "cards": float(cards),
                "attempts": float(attempts),
                "declined": float(failed),
                "users": float(len(triers)),
                "holders": float(holders),
            },
            truncated=truncated or len(hops) < attempts,
        )

    def _users_of(self, window: TransactionWindow, card: int) -> list[int]:
        """Who used a card within the window's retention, the newest first."""
        oldest = window.watermark - window.config.retention
        arguments = (window.links, window.link_tail, card, oldest, self._holders)
        self._holders_kernel = self._holders_kernel or bind(links_of, *arguments)
        count, _ = self._holders_kernel(*arguments)
        return [int(user) for user in window.links.user[self._holders[:count]]]


def table_size(scan: int) -> int:
    """Slots of the table in which the cards and users of so many attempts are told apart."""
    return power_of_two(4 * scan + 4)


@kernel
def tests_at(  # type: ignore[no-untyped-def]  # noqa: C901  # one walk
    log, ends, meters, generations, place, back, row, within, least, each, declined, low, known,
    surge, worse, table, tried
):  # fmt: skip
    """What was probed at a place up to the attempt in `row`, which is not in the log yet.

    `meters` and `generations` are the merchants' or the devices', `back` the column of their chain.
    Fills `tried` (int64[n]: positions of the probes in the log, newest first) and `table`
    (int64[power of two above 4n], scratch); looks at n attempts. Mutates these two only.

    Returns:
        (distinct cards, probes, declined, whether the bound n was hit); all 0 where that is no
        testing, or this card is not new to it.
    """
    none = (0, 0, 0, False)
    if row[CARD] < 0 or row[INWARD] != 0 or meters[place, GENERATION] != generations[place]:
        return none
    time, value = row[TIME], abs(row[VALUE])
    since = time - within
    # So many must have failed for enough of the probes to have: the meter knows of the last five.
    others = min(np.int64(np.ceil(declined * least)) - (row[VALUE] < 0), FAILURES_KEPT)
    if others > 0:
        oldest = (meters[place, NEXT] + FAILURES_KEPT - others) % FAILURES_KEPT
        if meters[place, FAILURES + oldest] <= since:
            return none

    small = value <= low
    table[:] = _EMPTY
    cards = _enter(table, np.int64(row[CARD]))
    users = _enter(table, -2 - np.int64(row[USER]))
    probes = 1
    failed = np.int64(row[VALUE] < 0)
    truncated = False
    scanned = 0
    p = meters[place, HEAD]
    while p >= ends[TAIL] and p > 0:
        at = p & (log.shape[0] - 1)
        if log[at, A_TIME] <= since:
            break
        if scanned == tried.shape[0]:
            truncated = True
            break
        scanned += 1
        other = abs(log[at, A_VALUE])
        if log[at, A_TIME] <= time and (other <= low if small else other == value):
            card = log[at, A_CARD]
            if card == row[CARD]:
                return none
            tried[probes - 1] = p
            probes += 1
            failed += log[at, A_VALUE] < 0
            cards += _enter(table, card)
            users += _enter(table, -2 - log[at, A_USER])
        if log[at, back] == 0:
            break
        p -= log[at, back]
    if cards < least or failed < declined * probes:
        return none
    # In the holders' names: a machine that many use is no shop.
    if cards < each * users and not (small and back == A_BACK_MERCHANT):
        return none
    spans = meters[place, SPANS]
    if spans >= known:
        before = meters[place, SMALL_BEFORE] if small else meters[place, TRIED_BEFORE]
        refused = meters[place, SMALL_FAILED_BEFORE] if small else meters[place, FAILED_BEFORE]
        share = refused / before if before > 0 else 0.0
        if cards * spans < surge * before or failed < min(worse * share, _EVER) * probes:
            return none
    return cards, probes, failed, truncated


@kernel
def _enter(table, key):  # type: ignore[no-untyped-def]
    """Put a key into a table that has room; 1 if it is new there. Mutates `table`."""
    mask = table.shape[0] - 1
    i = ((key * 40503) >> 4) & mask  # identifiers in a row go to slots far apart
    while table[i] != _EMPTY and table[i] != key:
        i = (i + 1) & mask
    if table[i] == key:
        return 0
    table[i] = key
    return 1
