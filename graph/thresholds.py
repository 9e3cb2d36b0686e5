"""Every threshold of the heuristics, in one frozen place, each with its rationale beside it.

Times are milliseconds, money ratios are plain fractions. A value that cannot work is refused when
the configuration is made, not when the first transaction meets it.
"""

from dataclasses import dataclass
from typing import Final

from graph.errors import InvalidSetting
from graph.limit_checks import require_workable
from graph.transaction import DAY, HOUR, MINUTE

MOST_HOPS: Final = 6
"""Longest cycle the search can hold; laundering cycles beyond six hops are rare in every public
set, and each further hop multiplies the search."""

MOST_CHAIN_HOPS: Final = 8
"""Longest chain that is shown; each further hop multiplies the search as well."""

LAYER_SIDE: Final = 32
"""Most accounts on one side of a layer: the bits of a word less the sign, rounded down."""

MOST_REFUNDING: Final = 4
"""Merchants remembered that refunded one user."""

_BOUNDS: Final = {
    "layer_side": LAYER_SIDE,
    "refund_merchants": MOST_REFUNDING,
}
_SHARES: Final = frozenset(
    {"mule_passes_on", "fan_fresh_share", "fan_passes_on", "chain_keeps", "relay_fresh_share",
     "relay_passes_on", "layer_density", "layer_fresh_share", "tree_carries", "tree_passes_on",
     "tree_fresh_share", "structuring_least", "structuring_cash", "structuring_hands_on",
     "dormant_passes_on", "dormant_linked", "dormant_material", "bust_out_cash_share",
     "card_testing_declined", "collusive_share", "collusive_share_linked", "collusive_refunds",
     "collusive_devices", "collusive_surge_share", "refund_share", "refund_each_share",
     "own_quantile"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a pattern counts as one. The defaults are the published ones where there are any."""

    # Velocity: a person checks out a few times in ten minutes; card testing and account takeover
    # scripts pass ten without effort. Attempts count, declined or not: testers are mostly declined.
    velocity_attempts: int = 10
    velocity_within: int = 10 * MINUTE

    # Impossible travel: airliners cruise at about 900 km/h; 1,000 leaves room for jet streams.
    # Below 300 km the error of geolocated IPs (a carrier's gateway city) explains most jumps.
    travel_kmh: float = 1_000.0
    travel_km: float = 300.0

    # Cycle: three days is how long layering usually takes to come home; the window may hold less.
    cycle_within: int = 72 * HOUR
    cycle_hops: int = MOST_HOPS
    # Each hop passes on what it received, less a commission of at most 30 %, or up to 5 % more
    # (change rounded up, another currency's spread). The range is also what prunes the search.
    cycle_ratio_least: float = 0.70
    cycle_ratio_most: float = 1.05
    # Edges looked at, not edges that match: a hub has thousands of edges that match nothing.
    cycle_scan: int = 2_000
    # Parallel transfers multiply cycles. The newest come first, so a ring's own lap is among them;
    # each costs some 30 us to tell, and eight witnesses convince anyone.
    cycle_most: int = 8

    # Mule: recruited accounts forward within the hour and keep a commission of 5 to 20 %
    # (Europol EMMA campaigns); three senders who do not know the account are not a household.
    mule_within: int = DAY
    mule_passes_on: float = 0.80
    mule_dwell: int = HOUR
    mule_senders: int = 3
    # An account with more payments than this each way in a day is a business, judged on the newest.
    mule_scan: int = 256

    # Fan: eight distinct counterparties a day is above the 99th percentile of personal accounts; a
    # ring of six has no more than five, so from there on fans are told, if more weakly.
    fan_within: int = DAY
    fan_counterparties: int = 5
    # Payrolls, landlords and clubs pay the same people again; of a fraud's, three of four at least
    # are strangers.
    fan_fresh_share: float = 0.75
    # Half of what a crowd sent: few who collect for a present take out as much the same day.
    fan_passes_on: float = 0.50
    fan_scan: int = 256

    # Chain: four hops are more than a family needs; a layering account keeps up to a fifth.
    chain_within: int = DAY
    chain_hops: int = 4
    chain_keeps: float = 0.80
    # Edges looked at, as for cycles.
    chain_scan: int = 1_000

    # Scatter-gather: one sum over several hands and together again, fast enough to be one hand's
    # doing; three at once are no coincidence. Gather-scatter: as a mule, but to several receivers
    # and with time to count the money. A till has income of its own, so half of what came in need
    # only go on, and a sum may have been tried before, so one of three senders may be known.
    relay_within: int = 6 * HOUR
    relay_intermediaries: int = 3
    relay_receivers: int = 3
    relay_passes_on: float = 0.50
    relay_strangers: int = 2
    # Half of the legs between strangers: employer, employees and their landlord know each other.
    relay_fresh_share: float = 0.50
    relay_scan: int = 2_000

    # Layers: two friends who pay the same two others within a day are common, five accounts in two
    # sides are not; nor are six in three layers. Not everybody pays everybody, and with two or
    # three on a side one pair left out is a third of somebody's: about two of three pairs.
    layer_within: int = DAY
    layer_side: int = 2
    layer_accounts: int = 5
    layer_density: float = 0.65
    stack_accounts: int = 6
    layer_fresh_share: float = 0.50
    layer_scan: int = 2_000

    # Feeder tree: who is told to pass money on does so the same day, all but a commission of a
    # fifth, and takes change from his own pocket only for the last of it. Three accounts are a
    # dinner that one pays and two owe; of four, and half of the payments between strangers, few.
    tree_within: int = 12 * HOUR
    tree_carries: float = 0.60
    tree_passes_on: float = 0.80
    tree_accounts: int = 4
    tree_fresh_share: float = 0.50
    # Payments of one account each way, and edges looked at in all.
    tree_flows: int = 64
    tree_scan: int = 512

    # Structuring: cash of 10,000 or more is reported (31 U.S.C. 5331, EU 2015/849 art. 11), in
    # minor units of the base currency. Two payments of four fifths of it or more within a day or
    # so are worth 16,000 and never once reportable: the smallest sum that was split. One payer who
    # pays one payee twice bought a car; a third part is more than any sale needs. Cash that goes on
    # to another account within the span, less a commission of at most a fifth as in a chain, is a
    # smurf's the first time; it speaks for itself, so "just under" may begin a tenth lower.
    structuring_limit: int = 1_000_000
    structuring_least: float = 0.80
    structuring_cash: float = 0.70
    structuring_hands_on: float = 0.80
    structuring_payments: int = 2
    structuring_alone: int = 3
    structuring_within: int = 72 * HOUR
    structuring_scan: int = 256

    # Two people share a device in a couple, three or four in a family: weak until five in a week.
    device_users: int = 3
    farm_users: int = 5
    farm_within: int = 7 * DAY
    # A family card has one holder and perhaps a partner.
    card_users: int = 3
    # Carrier NAT, campus and airport put thousands behind one IP: it counts only for users who
    # share a device or card with this user as well, and then three as everywhere.
    ip_users: int = 3
    # A link unused for a week says little about who works together today.
    sharing_fades: int = 7 * DAY
    sharing_scan: int = 256

    # Dormant burst: accounts in use are used every week, so ten days without an own act are a long
    # pause, and any longer sleep a window of some weeks could not see. Where the stream is younger,
    # five days without one, a working week, have to do for an account that is older. Four transfers
    # to strangers within a day of waking are twice what a returning owner has to catch up with.
    # A mule keeps a fifth in the end, but empties the account in parts, with what a machine gives
    # at a time: half of strangers' money gone within the day is no saving, and a quarter is enough
    # where another sleeper woke for the same people.
    dormant_after: int = 10 * DAY
    dormant_within: int = DAY
    dormant_moves: int = 4
    dormant_unseen: int = 5 * DAY
    dormant_passes_on: float = 0.50
    dormant_linked: float = 0.25
    # Who had a tenth of what the greatest payer or payee had may be in it; a round of coffee not.
    dormant_material: float = 0.10
    dormant_scan: int = 64

    # Takeover: thieves act within the hour, before the owner reads the message about a new device;
    # five transactions on a device of its own say what is usual, and three times that is not.
    takeover_within: int = HOUR
    takeover_times: float = 3.0
    takeover_history: int = 5
    # A gang's machine has seen its victims and its mules. One of more users is public: then only
    # those are named who were robbed from it.
    takeover_users: int = 12
    # Newest payments to each payee that are looked at for further victims.
    takeover_scan: int = 64

    # Bust-out: four clean weeks are a bill that was paid, the least that raises a limit; four times
    # the weekly mean and above every week before is more than Christmas (about twice). Two things
    # that bounce in the same week, or half of the money as cash, tell emptying from spending.
    bust_out_weeks: int = 4
    bust_out_times: float = 4.0
    bust_out_reversals: int = 2
    bust_out_cash_share: float = 0.50
    # Half as much again as in a usual week, and things bounce: common alone, rare among friends.
    bust_out_strain: float = 1.5
    # A spree: people try a new shop a week, not three within two days, unless they travel, move or
    # marry; and then not with whom they pay. To whom and where all has just begun, all is new.
    spree_merchants: int = 3
    spree_within: int = 48 * HOUR
    spree_after: int = 5 * DAY

    # Card testing: a purse holds three or four cards, so nobody tries six in half an hour, which is
    # how slow a script goes that stays below a shop's own limits; stolen lists are mostly dead, and
    # the probes are small (500 minor units) or all the same.
    card_testing_within: int = 30 * MINUTE
    card_testing_cards: int = 6
    # Buyers in a crowd bring a card each, a tester brings them all; unless he tries them in the
    # holders' names, but then with sums for which few would come.
    card_testing_each: float = 2.0
    card_testing_declined: float = 0.50
    card_testing_low: int = 500
    # Against the place's own half hours, once it was tried in six of them: twice as many cards as
    # usually probes (an outage only repeats the usual ones) and half as many declines again.
    card_testing_known: int = 6
    card_testing_surge: float = 2.0
    card_testing_worse: float = 1.5
    card_testing_scan: int = 256

    # Collusive merchant: a front has a few honest customers, or it would stand out, but lives on
    # its own: three are needed for a pattern, four deals in a week or two are more than a shop's
    # good customers make, and half of all deals are theirs. Then a tenth refunded (retail: less,
    # fashion up to a half). Regulars of whom a third are on shared devices are hardly strangers to
    # each other, however many customers hide them: a quarter of the deals will do.
    collusive_least: int = 3
    collusive_regular: int = 4
    collusive_share: float = 0.50
    collusive_share_linked: float = 0.25
    collusive_refunds: float = 0.10
    collusive_devices: float = 0.33
    # A device of more users is public, and says nothing about who owns the shop.
    collusive_users: int = 8
    # A surge, before the shop's own weeks show it: two buyers with four deals each within seven
    # days, and two fifths of all of them; a neighbourhood's shop has as faithful customers, but
    # many of them. Then two refunds to people who keep coming: who returns things goes elsewhere.
    collusive_surge: int = 2
    collusive_surge_share: float = 0.40
    collusive_surge_refunds: int = 2

    # Refund abuse: six refunds from three merchants, 60 % of the money: even fashion, bought in
    # three sizes, comes back less, and from one or two shops.
    refund_count: int = 6
    refund_merchants: int = 3
    refund_share: float = 0.60
    # A device of more users is public: then only what the user returned alone counts.
    refund_users: int = 8
    # Two people who pay each other: each with two refunds at least, and more of its money back than
    # retail gives back on average (a seventh of its sales, NRF 2023).
    refund_each: int = 2
    refund_each_share: float = 0.15

    # Synthetic identity: a couple shares a device and an address, three strangers with nothing
    # else do not. Hardly used, and opened within the 90 days in which fraud counts as new-account
    # fraud; an attribute of more than 32 users is public.
    synthetic_users: int = 3
    synthetic_attributes: int = 2
    synthetic_popular: int = 32
    synthetic_history: int = 10
    synthetic_young: int = 90 * DAY
    synthetic_scan: int = 256

    # Links read to tell strangers from acquaintances, for one piece of evidence.
    acquaintance_scan: int = 4_000

    # Habits (`graph.habits`): whoever reaches a limit on five days has a working week of it, and
    # is held to what it stays below on 99 of 100 days. Four times the limit is told whatever the
    # habit: 20 strangers, 40 attempts. A ceiling of 1 turns habits off.
    own_quantile: float = 0.99
    own_days: int = 5
    own_ceiling: float = 4.0
    # 1 to 2 kB each; an account is forgotten only once so many others had evidence since.
    own_accounts: int = 20_000

    # A growing crowd is told member by member up to here, then each time it grew by a quarter.
    told_singly: int = 32
    # Most transactions and most members shown in one piece of evidence: what a person can check.
    witness: int = 32

    def __post_init__(self) -> None:
        require_workable(self, _SHARES)
        if self.cycle_ratio_least > self.cycle_ratio_most:
            raise InvalidSetting(
                "is above cycle_ratio_most, so no hop can match",
                field="cycle_ratio_least",
                value=str(self.cycle_ratio_least),
                remedy=f"Choose at most {self.cycle_ratio_most}.",
            )
        self._check_bounds()
        if self.farm_users < self.device_users:
            raise InvalidSetting(
                "is below device_users",
                field="farm_users",
                value=str(self.farm_users),
                remedy=f"Choose at least {self.device_users}.",
            )
        if self.dormant_linked > self.dormant_passes_on:
            raise InvalidSetting(
                "is above dormant_passes_on, so company would be an excuse",
                field="dormant_linked",
                value=str(self.dormant_linked),
                remedy=f"Choose at most {self.dormant_passes_on}.",
            )
        self._check_habits()

    def _check_habits(self) -> None:
        if self.own_ceiling < 1:
            raise InvalidSetting(
                "is below 1, so the fixed limits would not be the floor",
                field="own_ceiling",
                value=str(self.own_ceiling),
                remedy="Choose 1 to hold everybody to the fixed limits.",
            )

    def _check_bounds(self) -> None:
        for name, most in (("cycle_hops", MOST_HOPS), ("chain_hops", MOST_CHAIN_HOPS)):
            if not 2 <= getattr(self, name) <= most:
                raise InvalidSetting(
                    f"must be between 2 and {most}",
                    field=name,
                    value=str(getattr(self, name)),
                    remedy="Longer ones are not searched; use the graph database for them.",
                )
        for name, most in _BOUNDS.items():
            if getattr(self, name) > most:
                raise InvalidSetting(
                    f"must be at most {most}",
                    field=name,
                    value=str(getattr(self, name)),
                    remedy="Choose less: no more are looked at or remembered.",
                )


def told_counts(first: int, singly: int, most: int) -> frozenset[int]:
    """Sizes at which a growing crowd is worth telling again, from `first` to `most`.

    Every size up to `singly`, then each time it has grown by a quarter: a hub that gains a stranger
    with every payment is told a handful of times, not thousands.

    >>> sorted(told_counts(8, 10, 30))
    [8, 9, 10, 13, 17, 22, 28]
    """
    sizes = set(range(first, min(singly, most) + 1))
    size = max(first, singly)
    while size <= most:
        sizes.add(size)
        size += -(-size // 4)
    return frozenset(sizes)
