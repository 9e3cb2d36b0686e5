"""Accounts that wake up and empty themselves: dormant, then a burst.

Behaviour
    Sleeping accounts are bought, hijacked or kept in reserve: known to the bank, clean, watched by
    nobody. Then they move money for a day.

Definition
    An account acts when it pays, transfers or withdraws, or tries to; what it receives and when it
    was opened are no acts. It wakes when an act follows the one before by `dormant_after` or more;
    where it was never seen to act, when it follows by as much the moment from which the account is
    known to be there (first seen, or opened) and anything at all is seen. An account opened so long
    ago, of which a stream of `dormant_unseen` has shown no act, is taken for asleep as well.
    A move is a transfer to a user that it had not dealt with before it woke, or a withdrawal out of
    the graph, since it woke and within `dormant_within` of it. Where a user has paid it in the
    `dormant_within` before, what it buys is a move as well: goods are another way to take money
    out. What came in is the cash paid in, and what users sent it who had not dealt with it before
    that, in the `dormant_within` before this move: a wage or a friend's share do not count. A move
    is told if

    - they carry at least `dormant_passes_on` of what came in; or
    - they carry at least `dormant_linked` of it, and another sleeper is named with it; or
    - there were at least `dormant_moves` of them, purchases aside, and it is none;

    move by move up to `told_singly`, then each time they grew by a quarter (`told_counts`). Named
    with it are the other sleepers who woke within `dormant_within` and have paid one of its payees
    since, or been paid by one of those whose money it passes on. Shops are not named, nor, where
    money is passed on, those with less of it than `dormant_material` of what the greatest payer
    (the greatest payee) has: life goes on beside.

Method and cost
    One look at the account's profile (`graph.profiles`). Only while it is freshly awake, O(n + m)
    over its n edges out since it woke and m in, at most `dormant_scan` each (then `truncated`).
    Where they carry enough to be told with another, as many again of each of at most `witness`
    accounts that it dealt with.

Misses
    An account that is warmed up first with a small purchase a day before; sleepers in the first
    `dormant_unseen` of a stream; cash-out in shops of what was paid in as cash.

False positives
    Somebody home from a long journey who catches up: in shops mostly, with own money, and with
    people known before. Whoever acts every other week, and is paid by somebody new when he does:
    more of those the younger the stream, as everybody is new to everybody. Strength is less the
    less was passed on, and the shorter the sleep.
    A link not used for the window's retention (30 days) is forgotten, so after a longer sleep old
    friends look like strangers.

Source
    FFIEC, BSA/AML examination manual, appendix F (red flags); FATF, "Money laundering using new
    payment methods", 2010.

>>> from graph.profiles import Profiles
>>> from graph.thresholds import Thresholds
>>> from graph.transaction import DAY, Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow, WindowConfig
>>> window = TransactionWindow(WindowConfig(horizon=60 * DAY))  # time may jump by a month
>>> profiles = Profiles(Thresholds())
>>> dormancy = Dormancy(Thresholds(), profiles)
>>> for n, at in enumerate([0, 30, 30, 30, 30]):
...     tx = Transaction(f"t{n}", at * DAY + 60_000 * (n + 1), TransactionType.TRANSFER,
...                      Money(100, "EUR"), 100, "a", counterparty_id=f"payee{n}")
...     admission = window.add(tx)
...     found = dormancy.detect(window, tx, admission)
...     profiles.note(window, tx, admission)
>>> found[0].reason
'user:a slept for 30 days, then made 4 transfers within 3 min to 4 strangers.'
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.witness import reach, span_in_words, witness
from graph.kernels import KIND_MERCHANT, KIND_USER, slot
from graph.layout import INWARD, OTHER, TIME, USER, VALUE
from graph.profiles import GENERATION, WOKE, Profiles, woke_at
from graph.thresholds import Thresholds, told_counts
from graph.transaction import DAY, Entity, EntityKind, Transaction
from graph.window import TransactionWindow
from graph.wording import counted

_HALF_A_YEAR: Final = 182 * DAY


class Dormancy:
    """Finds accounts that wake in a burst; see the module's docstring.

    `strength` is 0.35, plus 0.05 a move beyond the first up to 0.25, plus 0.2 times the share of
    what came in that was passed on, plus up to 0.1 for the sleep (half a year is full).
    """

    def __init__(self, thresholds: Thresholds, profiles: Profiles) -> None:
        self.thresholds: Final = thresholds
        self._profiles: Final = profiles
        self.told = told_counts(1, thresholds.told_singly, thresholds.dormant_scan)
        self._moves: NDArray[np.int64] = np.zeros((2, thresholds.dormant_scan), np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None
        self._dealt_kernel: Callable[..., Any] | None = None
        self._dealt: NDArray[np.int64] = np.zeros(thresholds.dormant_scan, np.int64)

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this transaction is one move too many of an account that just woke."""
        if admission.status is not Status.ACCEPTED:
            return ()
        limits, profiles = self.thresholds, self._profiles
        row = profiles.row(tx, admission)
        arguments = (
            window.edges,
            profiles.columns(window),
            window.accounts.generation,
            window.tail,
            row,
            reach(window, limits.dormant_within),
            limits.dormant_after,
            limits.dormant_unseen,
            limits.dormant_moves,
            float(limits.dormant_linked),
            self._moves,
        )
        self._kernel = self._kernel or bind(burst_at, *arguments)
        moves, came, woke, slept, truncated = self._kernel(*arguments)
        if not moves:
            return ()
        shown = self._moves[0, :moves].tolist()
        if admission.position not in shown:
            # Of more at one moment than are looked at, this one may come behind the bound.
            shown[-1] = admission.position
        return self._judge(
            window,
            admission,
            shown,
            self._moves[1, :came].tolist(),
            int(woke),
            int(slept),
            truncated=bool(truncated),
        )

    def _judge(
        self,
        window: TransactionWindow,
        admission: Admission,
        moves: list[int],
        came: list[int],
        woke: int,
        slept: int,
        *,
        truncated: bool,
    ) -> Sequence[Evidence]:
        """Evidence if enough of the moves go to strangers; positions as `burst_at` fills them."""
        limits, user, kinds = self.thresholds, admission.user, window.edges.account_kind
        payees = [int(window.edges.target[row]) for row in window.rows_of(np.array(moves))]
        shops = {payee for payee in payees if payee >= 0 and kinds[payee] == KIND_MERCHANT}
        known = {
            payee: payee >= 0 and payee not in shops and window.dealt(user, payee, woke)
            for payee in set(payees)
        }
        if known[admission.other]:
            return ()
        paid = [(at, payee) for at, payee in zip(moves, payees, strict=True) if not known[payee]]
        moves = [at for at, _ in paid]
        came = self._strange(window, user, came, woke)
        hops, ins = witness(window, moves), witness(window, came)
        sent, received = sum(hop.value for hop in hops), sum(hop.value for hop in ins)
        linked = received > 0 and sent >= limits.dormant_linked * received
        fellows = self._fellows(window, user, moves, came) if linked else set()
        passes = linked and (bool(fellows) or sent >= limits.dormant_passes_on * received)
        if not passes:
            # What was bought only shows where the money of others went.
            moves = [at for at, payee in paid if payee not in shops]
            if admission.other in shops or len(moves) < limits.dormant_moves:
                return ()
            hops = witness(window, moves)
            sent = sum(hop.value for hop in hops)
            fellows = self._fellows(window, user, moves, [])
        if len(moves) not in self.told:
            return ()
        share = min(sent / max(received, 1), 1.0)
        centre, now = window.accounts.entity(user), hops[-1].timestamp
        shown = hops[-limits.witness :]
        if passes:
            shown = (*ins[: max(limits.witness - len(shown), 0)], *shown)
        members: dict[Entity, Role] = {centre: Role.MULE if passes else Role.MEMBER}
        least = limits.dormant_material if passes else 0.0
        for role, ends in ((Role.SENDER, [hop.source for hop in shown]),
                           (Role.RECEIVER, [hop.target for hop in shown])):  # fmt: skip
            for other in _material(centre, ends, shown, least):
                members.setdefault(other, role)
        for fellow in sorted(window.accounts.entity(fellow) for fellow in fellows):
            members[fellow] = Role.MULE
        bought = sum(payee in shops for _, payee in paid) if passes else 0
        strangers = len({hop.target for hop in hops if hop.target and _is_user(hop.target)})
        return [
            Evidence(
                pattern=Pattern.DORMANT_BURST,
                seen_at=now,
                members=tuple(members.items()),
                hops=tuple(sorted(shown, key=lambda hop: (hop.timestamp, hop.transaction_id))),
                strength=(
                    0.35
                    + min(0.05 * (len(moves) - 1), 0.25)
                    + 0.2 * share * passes
                    + 0.1 * min(slept / _HALF_A_YEAR, 1)
                ),
                reason=(
                    f"{centre} slept for {span_in_words(slept)}, then made "
                    + " and ".join(
                        counted(n, noun)
                        for n, noun in ((len(moves) - bought, "transfer"), (bought, "purchase"))
                        if n
                    )
                    + f" within {span_in_words(now - woke)}"
                    + (f" to {counted(strangers, 'stranger')}" if strangers else "")
                    + (f", {100 * share:.0f} % of what had come in" if passes else "")
                    + "."
                ),
                facts={
                    "slept_days": slept / DAY,
                    "moves": float(len(moves)),
                    "sent": float(sent),
                    "received": float(received),
                    "sleepers": 1.0 + len(fellows),
                },
                retained=share if passes else None,
                truncated=truncated or len(shown) < len(hops) + passes * len(ins),
            )
        ]

    def _strange(
        self, window: TransactionWindow, user: int, came: list[int], woke: int
    ) -> list[int]:
        """Of what came in, cash and what users sent who had not dealt with it before it woke."""
        since = woke - reach(window, self.thresholds.dormant_within)
        kinds = window.edges.account_kind
        payers = window.edges.source[window.rows_of(np.array(came, np.int64))].tolist()
        strange = {
            payer: payer < 0
            or (
                kinds[payer] == KIND_USER
                and not window.dealt(user, payer, woke)
                and not window.dealt(payer, user, since)
            )
            for payer in set(payers)
        }
        return [at for at, payer in zip(came, payers, strict=True) if strange[payer]]

    def _fellows(
        self, window: TransactionWindow, user: int, moves: list[int], came: list[int]
    ) -> set[int]:
        """Others who woke as well and dealt with the same accounts, in the same direction."""
        profiles, edges = self._profiles.columns(window).users, window.edges
        generations = window.accounts.generation
        within = reach(window, self.thresholds.dormant_within)
        fellows: set[int] = set()
        for positions, ends, incoming in ((moves, edges.target, True), (came, edges.source, False)):
            rows = window.rows_of(np.array(positions, np.int64))
            others = dict.fromkeys(
                int(end) for end in ends[rows] if end >= 0 and edges.account_kind[end] == KIND_USER
            )
            for other in list(others)[: self.thresholds.witness]:
                arguments = (edges, window.tail, window.cutoff, other, incoming, self._dealt)
                self._dealt_kernel = self._dealt_kernel or bind(newest_of, *arguments)
                for dealt in self._dealt[: self._dealt_kernel(*arguments)].tolist():
                    row = int(window.rows_of(np.array([dealt]))[0])
                    fellow = int(edges.source[row] if incoming else edges.target[row])
                    woke = int(profiles[fellow, WOKE])
                    awake = profiles[fellow, GENERATION] == generations[fellow] and woke > 0
                    if awake and fellow != user and abs(int(edges.time[row]) - woke) <= within:
                        fellows.add(fellow)
        return fellows


def _material(
    centre: Entity, ends: Sequence[Entity | None], hops: Sequence[Hop], least: float
) -> list[Entity]:
    """The users at these ends of some hops whose money is not trifling beside the greatest's."""
    sums: dict[Entity | None, int] = {}
    for end, hop in zip(ends, hops, strict=True):
        if end != centre:
            sums[end] = sums.get(end, 0) + hop.value
    most = max(sums.values(), default=0)
    return [
        end
        for end, carried in sums.items()
        if end is not None and _is_user(end) and carried >= least * most
    ]


def _is_user(entity: Entity) -> bool:
    return entity.kind is EntityKind.USER


@kernel
def burst_at(  # type: ignore[no-untyped-def]  # noqa: C901, PLR0915  # two walks
    edges, profiles, generations, tail, row, within, asleep, unseen, least, passes_on, out
):
    """What an account has moved since it woke, up to the transaction in `row`, and what came in.

    Fills `out` (int64[2, n]): positions of the moves and of what came in, newest first; looks at n
    edges each way. Mutates `out` only.

    Returns:
        (moves, edges in, when it woke, how long it slept, whether the bound n was hit); all 0 where
        the row is no move, its user is not freshly awake, or it moved too little.
    """
    zero = np.int64(0)
    none = (0, 0, zero, zero, False)
    user, other, time = row[USER], row[OTHER], row[TIME]
    if user < 0 or user == other or row[INWARD] != 0 or row[VALUE] <= 0:
        return none
    woke, slept = woke_at(profiles, generations[user], row, asleep, unseen)
    if woke == 0 or time < woke or time - woke > within:
        return none
    bound = out.shape[1]
    truncated = paid = False

    came = scanned = 0
    smallest = zero
    p = edges.newest_in[user]
    while p >= tail:
        s = slot(edges.pages, p)
        if edges.time[s] < time - within:
            break
        if scanned == bound:
            truncated = True
            break
        scanned += 1
        u = edges.source[s]
        if edges.time[s] <= time and edges.value[s] > 0 and u != user:
            out[1, came] = p
            smallest = min(smallest, edges.value[s]) if came > 0 else edges.value[s]
            came += 1
            paid |= u >= 0 and edges.account_kind[u] == KIND_USER
        if edges.back_in[s] == 0:
            break
        p -= edges.back_in[s]
    buys = other >= 0 and edges.account_kind[other] == KIND_MERCHANT
    if buys and not paid:
        return none

    moves = transfers = scanned = 0
    sent = zero
    p = edges.newest_out[user]
    while p >= tail:
        s = slot(edges.pages, p)
        if edges.time[s] < woke:
            break
        if scanned == bound:
            truncated = True
            break
        scanned += 1
        v = edges.target[s]
        onward = v < 0 or edges.account_kind[v] != KIND_MERCHANT
        if v != user and (onward or paid) and edges.time[s] <= time and edges.value[s] > 0:
            out[0, moves] = p
            sent += edges.value[s]
            moves += 1
            transfers += onward
        if edges.back_out[s] == 0:
            break
        p -= edges.back_out[s]
    if (buys or transfers < least) and (came == 0 or sent < passes_on * smallest):
        return none
    return moves, came, woke, slept, truncated


@kernel
def newest_of(edges, tail, cutoff, account, incoming, out):  # type: ignore[no-untyped-def]
    """An account's newest live payments from users, or to them, newest first.

    Fills `out` (int64[n]: positions); looks at no more than n edges. Mutates `out` only. Returns
    how many.
    """
    back = edges.back_in if incoming else edges.back_out
    position = edges.newest_in[account] if incoming else edges.newest_out[account]
    count = 0
    for _ in range(out.shape[0]):
        if position < tail:
            break
        s = slot(edges.pages, position)
        if edges.time[s] < cutoff:
            break
        other = edges.source[s] if incoming else edges.target[s]
        if other >= 0 and edges.account_kind[other] == KIND_USER and edges.value[s] > 0:
            out[count] = position
            count += 1
        if back[s] == 0:
            break
        position -= back[s]
    return count
