"""What accounts, cards and merchants do against their habit, in plain Python: slow and obvious.

Every function takes the transactions before one, in order of time, and the one.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from graph.layout import is_cash_like
from graph.thresholds import Thresholds
from graph.transaction import DAY, Entity, EntityKind, Outcome, Transaction, TransactionType

INWARD = (TransactionType.DEPOSIT, TransactionType.REFUND)
WEEK = 7 * DAY
HALVED_AFTER = 90 * DAY


def moved(tx: Transaction) -> bool:
    return tx.outcome is not Outcome.DECLINED and tx.value > 0


def merchant(tx: Transaction) -> Entity | None:
    other = tx.other_party
    return other if other is not None and other.kind is EntityKind.MERCHANT else None


def acts(transactions: Iterable[Transaction], user: Entity) -> list[Transaction]:
    return [tx for tx in transactions if tx.user == user and tx.type not in INWARD]


def first_seen(past: Iterable[Transaction], user: Entity, other: Entity | None) -> int | None:
    """When a user first had to do with another entity, as its other party or through it."""
    times = [tx.timestamp for tx in past if tx.user == user and other in tx.entities[1:]]
    return min(times, default=None)


class Burst(NamedTuple):
    moves: list[Transaction]
    came: list[Transaction]


def burst(
    past: Sequence[Transaction], tx: Transaction, limits: Thresholds, within: int
) -> Burst | None:
    """The moves of an account that just woke, if they are enough for it alone."""
    user, own = tx.user, acts([*past, tx], tx.user)
    if tx.type in INWARD or not moved(tx) or tx.payee == user:
        return None
    # Who was never seen to act has slept since it was known, once anything was.
    known = [
        min(o.timestamp, o.user_created_at or o.timestamp) for o in [*past, tx] if o.user == user
    ]
    began = ([*past, tx])[0].timestamp
    # What it knew of itself before its first act, and at it.
    upto = known[: 1 + [o for o in [*past, tx] if o.user == user].index(own[0])]
    asleep = [max(began, min(upto)), *(act.timestamp for act in own)]
    woken = [after for before, after in pairwise(asleep) if after - before >= limits.dormant_after]
    # One older than the stream may have slept longer than is seen: less of it has to do.
    older = own[0].timestamp - min(upto) >= limits.dormant_after
    if older and asleep[1] - asleep[0] >= limits.dormant_unseen and asleep[1] not in woken:
        woken.insert(0, asleep[1])
    if not woken or tx.timestamp - woken[-1] > within:
        return None
    woke = woken[-1]

    def is_move(act: Transaction) -> bool:
        known = first_seen(past, user, act.payee) if act.payee is not None else None
        stranger = known is None or known >= woke
        return moved(act) and not merchant(act) and act.payee != user and stranger

    came = [
        other
        for other in past
        if other.payee == user != other.payer
        and moved(other)
        and tx.timestamp - other.timestamp <= within
    ]
    since = [act for act in own if act.timestamp >= woke and act.payee != user]
    moves = [act for act in since if is_move(act)]
    bought = [act for act in since if moved(act) and merchant(act)]
    if not any(other.payer is not None and other.payer.kind is EntityKind.USER for other in came):
        bought = []
    came = [other for other in came if is_strange(past, other.payer, user, woke, within)]
    spent, received = [*moves, *bought], sum(other.value for other in came)
    passes = received > 0 and (
        sum(act.value for act in spent) >= limits.dormant_passes_on * received
    )
    if passes and tx in spent:
        return Burst(spent, came)
    if not is_move(tx) or len(moves) < limits.dormant_moves:
        return None
    return Burst(moves, came)


def is_strange(
    past: Sequence[Transaction], payer: Entity | None, user: Entity, woke: int, within: int
) -> bool:
    """Whether money is cash, or a user's who had not dealt with one that woke before that."""
    if payer is None:
        return True
    asked = first_seen(past, user, payer), first_seen(past, payer, user)
    known = any(
        first is not None and first < before
        for first, before in zip(asked, (woke, woke - within), strict=True)
    )
    return payer.kind is EntityKind.USER and not known


def is_taken(past: Sequence[Transaction], tx: Transaction, limits: Thresholds) -> bool:
    """Whether a payment is a thief's."""
    device, ip = (Entity(EntityKind.DEVICE, tx.device_id or ""), tx.ip_address)
    if tx.type in INWARD or not moved(tx) or None in (tx.device_id, ip, tx.other_party):
        return False
    for entity in (device, Entity(EntityKind.IP, ip or ""), tx.other_party):
        known = first_seen(past, tx.user, entity)
        if known is not None and known < tx.timestamp - limits.takeover_within:
            return False
    home = 0
    for i, other in enumerate(past):
        if other.user == tx.user and other.device_id is not None:
            known = first_seen(past[:i], tx.user, Entity(EntityKind.DEVICE, other.device_id))
            home += known is not None and known <= other.timestamp - limits.takeover_within
    usual, paid = 0, 0
    for act in acts(past, tx.user):
        if moved(act):
            paid += 1
            usual += (16 * act.value - usual) // min(paid, 32)
    enough = home >= limits.takeover_history and paid > 0
    return enough and 16 * tx.value > limits.takeover_times * usual


def is_reversal(tx: Transaction) -> bool:
    declined = not moved(tx)
    return declined or (tx.type in INWARD and merchant(tx) is not None)


class Weeks(NamedTuple):
    """What a user spent in each clean week before this one, and what it does in this one."""

    clean: list[int]
    spends: list[Transaction]
    reversals: int

    @property
    def spent(self) -> int:
        return sum(o.value for o in self.spends)


def weeks_of(past: Sequence[Transaction], tx: Transaction, limits: Thresholds) -> Weeks:
    own = [other for other in [*past, tx] if other.user == tx.user]
    clean, now = [], Weeks([], [], 0)
    for week, some in groupby(own, key=lambda other: other.timestamp // WEEK):
        acts = list(some)
        spends = [o for o in acts if moved(o) and o.type not in INWARD]
        now = Weeks(clean, spends, sum(map(is_reversal, acts)))
        calm = now.reversals < limits.bust_out_reversals
        if week < tx.timestamp // WEEK and now.spent and calm:
            clean.append(now.spent)
    return now


def busts(past: Sequence[Transaction], tx: Transaction, limits: Thresholds) -> int:
    """What a user has spent in a week that is a bust-out's; 0 if it is none."""
    if tx.type in INWARD or not moved(tx):
        return 0
    week = weeks_of(past, tx, limits)
    clean, spent = week.clean, week.spent
    cash = sum(o.value for o in week.spends if is_cash_like(o))
    if len(clean) < limits.bust_out_weeks or spent <= max(clean):
        return 0
    if spent * len(clean) < limits.bust_out_times * sum(clean):
        return 0
    bad = week.reversals >= limits.bust_out_reversals
    return spent if bad or cash >= limits.bust_out_cash_share * spent else 0


def strain(past: Sequence[Transaction], tx: Transaction, limits: Thresholds) -> int:
    """What a user has spent in seven days that are strained with this transaction; 0 if not."""
    week = weeks_of(past, tx, limits)
    begun = tx.timestamp // WEEK * WEEK
    own = [o for o in past if o.user == tx.user and begun - WEEK <= o.timestamp < begun]
    spent_before = sum(o.value for o in own if moved(o) and o.type not in INWARD)
    reversed_before = sum(map(is_reversal, own))
    usual = week.clean
    if len(usual) > 1 and spent_before and reversed_before < limits.bust_out_reversals:
        assert usual[-1] == spent_before
        usual = usual[:-1]
    rest = (begun + WEEK - tx.timestamp) / WEEK
    drawn = week.spent + int(spent_before * rest) + (abs(tx.value) if bounced(tx) else 0)
    went_back = week.reversals + int(reversed_before * rest + 0.5)
    bad = went_back >= limits.bust_out_reversals or bounced(tx)
    much = usual and drawn * len(usual) >= limits.bust_out_strain * sum(usual)
    return drawn if much and bad else 0


def bounced(tx: Transaction) -> bool:
    return tx.type is TransactionType.DEPOSIT and not moved(tx)


def cohort(past: Sequence[Transaction], tx: Transaction, limits: Thresholds) -> set[Entity]:
    """Whom a user has paid and who was strained this week or in the one before."""
    week = tx.timestamp // WEEK
    last: dict[Entity, int] = {}
    for i, other in enumerate(past):
        if strain(past[:i], other, limits):
            last[other.user] = other.timestamp // WEEK
    paid = {other.other_party for other in [*past, tx] if other.user == tx.user}
    return {user for user, seen in last.items() if seen >= week - 1 and user in paid} - {tx.user}


def shops(past: Iterable[Transaction], user: Entity) -> dict[Entity, int]:
    """When a user first had to do with each merchant."""
    first: dict[Entity, int] = {}
    for o in past:
        shop = merchant(o)
        if o.user == user and shop is not None:
            first[shop] = min(o.timestamp, first.get(shop, o.timestamp))
    return first


def touring(past: Sequence[Transaction], tx: Transaction, limits: Thresholds) -> set[Entity]:
    """Whom a user has paid, this transaction included, and who goes from new shop to new shop."""
    everything = [*past, tx]
    paid = {
        o.other_party
        for o in everything
        if o.user == tx.user and o.other_party is not None and merchant(o) is None
    } - {tx.user}
    return {other for other in paid if is_touring(everything, past, other, tx.timestamp, limits)}


def is_touring(
    everything: Sequence[Transaction],
    past: Sequence[Transaction],
    user: Entity,
    now: int,
    limits: Thresholds,
) -> bool:
    """Whether a user has been known for some time and was at so many new shops lately."""
    born = [min(o.timestamp, o.user_created_at or o.timestamp) for o in past if o.user == user]
    known = born and min(born) <= now - limits.spree_after
    began = past and past[0].timestamp <= now - limits.spree_after
    first = shops(everything, user).values()
    new = sum(each > now - limits.spree_within for each in first)
    return bool(known and began and new >= limits.spree_merchants)


def spree(past: Sequence[Transaction], tx: Transaction, limits: Thresholds) -> set[Entity]:
    """Whom a user has paid and who goes from new shop to new shop as it does."""
    if tx.type in INWARD or not moved(tx) or merchant(tx) in {None, *shops(past, tx.user)}:
        return set()
    if not is_touring([*past, tx], past, tx.user, tx.timestamp, limits):
        return set()
    return touring(past, tx, limits)


def tested(
    past: Sequence[Transaction], tx: Transaction, place: Entity, limits: Thresholds
) -> set[str]:
    """Cards that were tested at a merchant or on a device, this one the newest of them."""
    if tx.card_id is None or tx.type in INWARD or place not in tx.entities:
        return set()
    within, low = limits.card_testing_within, limits.card_testing_low
    there = [
        o for o in past if o.card_id is not None and o.type not in INWARD and place in o.entities
    ]

    def is_probe(o: Transaction) -> bool:
        return o.value <= low if tx.value <= low else o.value == tx.value

    now = [o for o in there if o.timestamp > tx.timestamp - within and is_probe(o)]
    if tx.card_id in {o.card_id for o in now}:
        return set()
    now.append(tx)
    cards = {o.card_id for o in now if o.card_id is not None}
    failed = sum(not moved(o) for o in now)
    crowded = len(cards) < limits.card_testing_each * len({o.user for o in now})
    named = place.kind is EntityKind.MERCHANT and tx.value <= low
    if (
        (crowded and not named)
        or len(cards) < limits.card_testing_cards
        or failed < limits.card_testing_declined * len(now)
    ):
        return set()
    # What is usual: the spans before the newest in which anything was tried.
    newest = max((o.timestamp // within for o in there), default=0)
    earlier = [o for o in there if o.timestamp // within < newest]
    spans = len({o.timestamp // within for o in earlier})
    if spans >= limits.card_testing_known:
        before = [o for o in earlier if o.value <= low or tx.value > low]
        share = sum(not moved(o) for o in before) / len(before) if before else 0
        if len(cards) * spans < limits.card_testing_surge * len(before):
            return set()
        if failed < min(limits.card_testing_worse * share, 0.95) * len(now):
            return set()
    return cards


class Custom(NamedTuple):
    """A merchant's deals in one memory."""

    deals: Counter[Entity]
    total: int
    returned: int


def custom(past: Sequence[Transaction], tx: Transaction, *, surge: bool) -> Custom:
    """What is known of the merchant of a deal, this included."""
    there = [o for o in [*past, tx] if merchant(o) == merchant(tx) and moved(o)]
    if surge:
        newest = [o for o in there[-65:] if o.timestamp > tx.timestamp - WEEK]
        back = sum(o.type in INWARD for o in newest)
        return Custom(Counter(o.user for o in newest), len(newest), back)
    deals: Counter[Entity] = Counter()
    total = returned = week = 0
    for o in there:
        for _ in range(max(o.timestamp // WEEK - week, 0) if week else 0):
            deals = Counter({user: n // 2 for user, n in deals.items()})
            total, returned = total // 2, returned // 2
        week = max(week, o.timestamp // WEEK)
        deals[o.user] += 1
        total += 1
        returned += o.type in INWARD
    return Custom(deals, total, returned)


def colludes(
    past: Sequence[Transaction], tx: Transaction, limits: Thresholds, *, surge: bool
) -> tuple[int, int]:
    """(deals of the user at hand, deals) of a merchant that is in it; (0, 0) if it is not."""
    if merchant(tx) is None or not moved(tx):
        return 0, 0
    deals, total, returned = custom(past, tx, surge=surge)

    def with_at_least(count: int) -> set[Entity]:
        return {user for user, n in deals.items() if n >= count}

    regulars, again = with_at_least(limits.collusive_regular), with_at_least(2)
    frequent = with_at_least(limits.collusive_regular - 1) if surge else regulars
    if tx.user not in regulars or len(frequent) < limits.collusive_least:
        return 0, 0
    if surge and len(regulars) < limits.collusive_surge:
        return 0, 0
    theirs = sum(deals[user] for user in regulars)
    share = limits.collusive_surge_share if surge else limits.collusive_share_linked
    if theirs < share * total:
        return 0, 0
    everything = [*past, tx]

    def on(user: Entity) -> set[str]:
        return {o.device_id for o in everything if o.user == user and o.device_id is not None}

    def is_shared(device: str, user: Entity) -> bool:
        users = {o.user for o in everything if o.device_id == device} - {user}
        few = len(users) < limits.collusive_users
        return bool(users & regulars) or (few and bool(users & again))

    sharing = [user for user in regulars if any(is_shared(device, user) for device in on(user))]
    if surge:
        back = sum(
            o.type in INWARD and o.user in again and o.timestamp > tx.timestamp - WEEK
            for o in [o for o in everything if merchant(o) == merchant(tx) and moved(o)][-65:]
        )
        colluding = back >= limits.collusive_surge_refunds or bool(sharing)
        return (deals[tx.user], total) if colluding else (0, 0)
    bounces = returned / total >= limits.collusive_refunds
    bounces = bounces and theirs >= limits.collusive_share * total
    alike = len(sharing) / len(regulars) >= limits.collusive_devices
    return (deals[tx.user], total) if bounces or alike else (0, 0)


def refunds(past: Sequence[Transaction], tx: Transaction, limits: Thresholds) -> tuple[int, int]:
    """(refunds, users) of those who live on them; (0, 0) if nobody does. Within 90 days."""
    if tx.type is not TransactionType.REFUND or merchant(tx) is None or not moved(tx):
        return 0, 0
    everything = [o for o in [*past, tx] if merchant(o) is not None and moved(o)]
    linked = {
        o.user for o in [*past, tx] if tx.device_id is not None and o.device_id == tx.device_id
    }
    if len(linked) > limits.refund_users:
        linked = set()
    returning = {o.user for o in everything if o.type in INWARD}
    for group in ((linked & returning) | {tx.user}, {tx.user}):
        own = [o for o in everything if o.user in group]
        back = [o for o in own if o.type in INWARD]
        # Of each user the first four merchants are remembered, and the one at hand.
        shops = {merchant(tx)}
        for user in group:
            shops |= set(list(dict.fromkeys(merchant(o) for o in back[:-1] if o.user == user))[:4])
        refunded, bought = (
            sum(o.value for o in own if (o.type in INWARD) == inward) for inward in (True, False)
        )
        if (
            len(back) >= limits.refund_count
            and len(shops) >= limits.refund_merchants
            and refunded >= limits.refund_share * bought
        ):
            return len(back), len(group)
    return 0, 0


def company(past: Sequence[Transaction], tx: Transaction, limits: Thresholds) -> set[Entity]:
    """Whom a user who is refunded has paid and who has as much refunded. Within 90 days."""
    if tx.type is not TransactionType.REFUND or merchant(tx) is None or not moved(tx):
        return set()
    everything = [*past, tx]

    def returns(user: Entity) -> bool:
        own = [o for o in everything if o.user == user and merchant(o) is not None and moved(o)]
        back = [o.value for o in own if o.type in INWARD]
        bought = sum(o.value for o in own if o.type not in INWARD)
        enough = len(back) >= limits.refund_each
        return enough and sum(back) >= limits.refund_each_share * bought

    paid = {o.other_party for o in past if o.user == tx.user and merchant(o) is None}
    others = {other for other in paid if other is not None and other != tx.user and returns(other)}
    # Who was never noted before has nothing to compare with.
    known = any(o.user == tx.user for o in past)
    return others if known and returns(tx.user) else set()


def attributes(transactions: Iterable[Transaction], user: Entity) -> set[Entity]:
    return {identifier for tx in transactions if tx.user == user for identifier in tx.identifiers}


def twins(past: Sequence[Transaction], tx: Transaction, limits: Thresholds) -> set[Entity]:
    """Users who are made up together with this transaction's, if one of them is a new one."""
    now = [*past, tx]
    users = {o.user for o in now}
    has = {user: attributes(now, user) for user in users}

    def users_of(identifier: Entity) -> int:
        return sum(identifier in has[user] for user in users)

    def is_thin(user: Entity) -> bool:
        return sum(o.user == user for o in now) <= limits.synthetic_history

    def are_twins(one: set[Entity], other: set[Entity]) -> bool:
        shared = {a for a in one & other if users_of(a) <= limits.synthetic_popular}
        kinds = {a.kind for a in shared}
        if len(shared) < limits.synthetic_attributes or kinds <= {EntityKind.IP}:
            return False
        if EntityKind.CARD in kinds:
            return True
        devices = [{a for a in side if a.kind is EntityKind.DEVICE} for side in (one, other)]
        return devices[0] == devices[1]

    def shares_enough(one: set[Entity], other: set[Entity]) -> bool:
        shared = {a for a in one & other if users_of(a) <= limits.synthetic_popular}
        return len(shared) >= limits.synthetic_attributes

    if not is_thin(tx.user):
        return set()
    found = {
        user for user in users - {tx.user} if is_thin(user) and are_twins(has[tx.user], has[user])
    }
    before = attributes(past, tx.user)
    if all(shares_enough(before, has[user]) for user in found):
        return set()
    return found
