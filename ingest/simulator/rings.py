"""Rings: three kinds of organised fraud, from warm-up over burst to cash-out.

Written from what is published about them, not from what any detector looks for: laundering
cycles as in AMLSim (Suzumura and Kanezashi, 2018: every account keeps a margin and passes the
rest on), money mules as police describe them (Europol's EMMA actions: victims pay a recruited
account, which keeps a commission and sends the rest on or takes it out in cash within hours), and
device farms (bust-out of synthetic identities that share a few devices, cards and addresses).

A ring is told as a story of rows around the instant at which its burst begins; `planted` then
gives each story its place in time. Rings are few (one to several thousand transactions), so
their stories are told one by one; O(rows of rings).
"""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from graph.errors import InvalidSetting
from graph.evidence import Role
from graph.transaction import DAY, HOUR, MINUTE, SECOND
from ingest.simulator.config import SimulationConfig
from ingest.simulator.flows import (
    BURST,
    CASH_OUT,
    DEPOSIT,
    PAYMENT,
    TRANSFER,
    WARM_UP,
    WITHDRAWAL,
    Flows,
    flows,
    stacked,
)
from ingest.simulator.market import ONLINE
from ingest.simulator.places import RESALE_CATEGORIES
from ingest.simulator.population import VPN_POOL, World, currency_of, vpn_ip

Ints = npt.NDArray[np.int64]

KINDS: Final = ("cycle", "mule", "identity")
LONGEST_GAP: Final = 4 * HOUR
"""Between two hops of a cycle: six of them stay within a day."""
LONGEST_SHARE: Final = 0.6
"""Of the time rings have; a story that would take longer is told faster."""
MOST_VICTIMS: Final = 10
STARTS_TRIED: Final = 3
"""Instants drawn for a burst until one lies in waking hours; the last one stands."""


@dataclass(frozen=True, slots=True)
class RingTruth:
    """Who a planted ring is: its kind and the part each user plays, members first to last."""

    kind: str
    members: tuple[tuple[int, Role], ...]


@dataclass(slots=True)
class _Story:
    """Rows of one ring, times relative to the instant its burst begins."""

    rows: list[tuple[int, int, int, int, int, int, int, int, int, int]] = field(
        default_factory=list
    )
    roles: dict[int, Role] = field(default_factory=dict)

    def tell(
        self,
        at: float,
        type_: int,
        amount: int,
        user: int,
        *,
        to: int = -1,
        merchant: int = -1,
        device: int = -1,
        ip: int = -1,
        card: int = -1,
        phase: int = BURST,
        round_: int = -1,
    ) -> None:
        row = (int(at), type_, amount, user, to, merchant, device, ip, card)
        self.rows.append((*row, phase * 1_000 + round_ + 1))


class _Recruits:
    """Hands out people of one currency, nobody to two rings; victims come from all the others."""

    def __init__(self, rng: np.random.Generator, world: World) -> None:
        settled = np.flatnonzero(world.created_at[: world.people] < world.config.start)
        # A treasurer of hundreds of sales a day is not recruited: his account is his living.
        settled = settled[~np.isin(settled, world.sellers)]
        shuffled = rng.permutation(settled)
        currency = currency_of(world, shuffled)
        self._rng = rng
        self._all = [shuffled[currency == code] for code in range(3)]
        self._next = [0, 0, 0]

    def members(self, count: int) -> list[int]:
        """`count` people who share a currency; a currency is as likely as it has people left.

        Raises:
            InvalidSetting: Nowhere are there `count` people left and `MOST_VICTIMS` to pay them.
        """
        left = np.array([len(p) - n for p, n in zip(self._all, self._next, strict=True)])
        fits = np.where(left >= count + MOST_VICTIMS, left, 0)
        if not fits.any():
            raise InvalidSetting(
                "too few people with an account from before the simulated time",
                field="users",
                value=f"at most {left.max()} left of one currency, {count + MOST_VICTIMS} needed",
                remedy="Raise users or plant fewer rings",
            )
        code = int(self._rng.choice(3, p=fits / fits.sum()))
        taken = self._all[code][self._next[code] : self._next[code] + count]
        self._next[code] += len(taken)
        self._code = code
        return [int(user) for user in taken]

    def victims(self, count: int) -> list[int]:
        """`count` people of the currency of the last members, none of any ring so far."""
        pool = self._all[self._code][self._next[self._code] :]
        chosen = self._rng.choice(pool, count, replace=False)
        return [int(user) for user in chosen]


def planted(rng: np.random.Generator, world: World) -> tuple[Flows, list[RingTruth]]:
    """The rows of all rings, numbered from 0 in `Flows.ring`, and who they are."""
    config = world.config
    recruits = _Recruits(rng, world)
    stories: list[tuple[str, _Story]] = []
    stories += [("cycle", _cycle(rng, world, recruits)) for _ in range(config.rings.cycle)]
    stories += [("mule", _mule(rng, world, recruits)) for _ in range(config.rings.mule)]
    stories += [
        ("identity", _identity(rng, world, world.people + np.flatnonzero(world.farm == farm)))
        for farm in range(config.rings.identity)
    ]
    # Shuffled, so that the number of a ring says nothing about its kind.
    order = rng.permutation(len(stories))
    told = [stories[i] for i in order]
    # Spread over the time, at least a day to a part: a world that is cut by time has rings in
    # every piece, and within a day a burst can still find its hour.
    spread = max(1, min(len(told), (config.end - config.rings_start) // DAY))
    parts = [
        _placed(rng, config, story, ring, (ring % spread / spread, (ring % spread + 1) / spread))
        for ring, (_, story) in enumerate(told)
    ]
    truth = [RingTruth(kind, tuple(story.roles.items())) for kind, story in told]
    nothing = flows(*(np.empty(0, dtype=np.int64) for _ in range(4)))
    return stacked([*parts, nothing]), truth


def _placed(
    rng: np.random.Generator,
    config: SimulationConfig,
    story: _Story,
    ring: int,
    part: tuple[float, float],
) -> Flows:
    """The story's rows, its burst beginning in this part (0 to 1) of the time that rings have."""
    table = np.array(story.rows, dtype=np.int64)
    offset = table[:, 0]
    room = config.end - config.rings_start
    length = int(offset.max()) + MINUTE
    if length > LONGEST_SHARE * room:
        hurry = LONGEST_SHARE * room / length
        offset = np.where(offset > 0, (offset * hurry).astype(np.int64), offset)
        length = int(offset.max()) + MINUTE
    begins = config.rings_start
    for _ in range(STARTS_TRIED):
        begins = config.rings_start + int(rng.uniform(*part) * (room - length))
        if 7 * HOUR <= begins % DAY < 22 * HOUR:
            break
    phase, round_ = np.divmod(table[:, 9], 1_000)
    rows = flows(
        begins + offset,
        table[:, 1],
        table[:, 2],
        table[:, 3],
        counterparty=table[:, 4],
        merchant=table[:, 5],
        device=table[:, 6],
        ip=table[:, 7],
        card=table[:, 8],
        ring=np.full(len(table), ring),
        phase=phase,
        round=round_ - 1,
    )
    return rows.take(rows.time >= config.start)


def _sum(rng: np.random.Generator, median: float, sigma: float) -> int:
    """An amount of money in minor units as people name it, at least 1.00."""
    cents = int(max(100.0, median * float(np.exp(rng.normal(0.0, sigma)))))
    unit = (1_000, 500, 100, 1)[int(rng.choice(4, p=(0.25, 0.15, 0.25, 0.35)))]
    return cents // unit * unit if cents >= 2 * unit else cents // 100 * 100


def _after_keeping(rng: np.random.Generator, amount: int, retained: tuple[float, float]) -> int:
    """What is passed on by someone who keeps a share between the two, never less or more."""
    passed = int(amount * (1 - rng.uniform(*retained)))
    # Whole units look like what people send; only where the share allows it.
    whole = passed // 100 * 100
    if rng.random() < 0.5 and whole >= amount * (1 - retained[1]):
        passed = whole
    return max(passed, math.ceil(amount * (1 - retained[1])))


def _cycle(rng: np.random.Generator, world: World, recruits: _Recruits) -> _Story:
    """Three to six accounts pass a pot around, once to four times; each keeps its share."""
    story = _Story()
    length = int(rng.choice([3, 4, 5, 6], p=(0.35, 0.30, 0.20, 0.15)))
    members = recruits.members(length)
    story.roles = dict.fromkeys(members, Role.MEMBER) | {members[0]: Role.CONTROLLER}
    # In half the rings somebody runs several of the accounts from one phone.
    run_by_one = set(members[: int(rng.integers(2, length + 1))] if rng.random() < 0.4 else ())
    hand = int(world.device[members[0]])
    pot = max(2_000, _sum(rng, 26_000, 0.9))
    for _ in range(int(rng.integers(1, 4))):
        giver = int(rng.integers(0, length))
        at = -rng.uniform(0.3, 5.0) * DAY
        to = members[(giver + 1) % length]
        story.tell(at, TRANSFER, _sum(rng, 900, 0.6), members[giver], to=to, phase=WARM_UP)
    story.tell(-rng.uniform(0.5, 20.0) * HOUR, DEPOSIT, pot, members[0], phase=WARM_UP)
    at, amount, kept = 0.0, pot, dict.fromkeys(members, 0)
    for round_ in range(1 + min(int(rng.poisson(0.9)), 3)):
        for hop, giver in enumerate(members):
            passed = amount if hop == 0 else _after_keeping(rng, amount, world.config.retained)
            kept[giver] += amount - passed
            amount = passed
            story.tell(
                at,
                TRANSFER,
                amount,
                giver,
                to=members[(hop + 1) % length],
                device=hand if giver in run_by_one else -1,
                round_=round_,
            )
            at += float(np.clip(rng.lognormal(np.log(25 * MINUTE), 1.0), 20_000, LONGEST_GAP))
        at += 0.5 * HOUR + rng.exponential(9 * HOUR)
    _cash_out(rng, world, story, at, members[0], amount)
    for giver in members[1:]:
        if kept[giver] >= 2_000 and rng.random() < 0.4:
            _cash_out(rng, world, story, at + rng.exponential(6 * HOUR), giver, kept[giver])
    return story


def _mule(rng: np.random.Generator, world: World, recruits: _Recruits) -> _Story:
    """Victims pay one to three mules, who keep a commission and pass on or cash out the rest."""
    story = _Story()
    people = recruits.members(1 + int(rng.choice(3, p=(0.5, 0.3, 0.2))) + int(rng.random() < 0.6))
    onward = len(people) > 1 and rng.random() < 0.75
    collector, mules = (people[-1], people[:-1]) if onward else (-1, people)
    victims = recruits.victims(int(rng.integers(3, MOST_VICTIMS + 1)))
    story.roles = dict.fromkeys(mules, Role.MULE)
    if onward:
        story.roles[collector] = Role.CASH_OUT
    story.roles |= dict.fromkeys(victims, Role.VICTIM)
    # The one who stole credentials works from a machine that is not new to the world.
    hand = int(world.second_device[people[-1]])
    for mule in mules:
        if rng.random() < 0.5:
            at = -rng.uniform(0.3, 6.0) * DAY
            to = collector if onward else victims[0]
            story.tell(at, TRANSFER, _sum(rng, 900, 0.6), mule, to=to, phase=WARM_UP)
    received: dict[int, list[tuple[float, int]]] = {mule: [] for mule in mules}
    at = 0.0
    for victim in victims:
        taken_over = rng.random() < 0.3
        mule = mules[int(rng.integers(0, len(mules)))]
        for _ in range(1 + int(rng.random() < 0.25)):
            amount = _sum(rng, 12_000, 0.9)
            story.tell(
                at,
                TRANSFER,
                amount,
                victim,
                to=mule,
                device=hand if taken_over else -1,
                ip=_vpn(rng, world) if taken_over else -1,
            )
            received[mule].append((at, amount))
            at += rng.exponential(28 * MINUTE) + 20 * SECOND
    collected: list[tuple[float, int]] = []
    for mule, incoming in received.items():
        collected += _passed_on(rng, world, story, mule, incoming, collector)
    if collected:
        last = max(when for when, _ in collected)
        total = sum(amount for _, amount in collected)
        _cash_out(rng, world, story, last + _dwell(rng), collector, total)
    return story


def _passed_on(
    rng: np.random.Generator,
    world: World,
    story: _Story,
    mule: int,
    incoming: list[tuple[float, int]],
    collector: int,
) -> list[tuple[float, int]]:
    """What the mule sends the collector, with times; without one it is cashed out here."""
    sent: list[tuple[float, int]] = []
    held = 0
    for i, (when, amount) in enumerate(incoming):
        held += amount
        if i + 1 < len(incoming) and rng.random() < 0.5:
            continue
        leaving, out = when + _dwell(rng), _after_keeping(rng, held, (0.03, 0.12))
        if collector >= 0:
            story.tell(leaving, TRANSFER, out, mule, to=collector, phase=CASH_OUT)
            sent.append((leaving, out))
        else:
            _cash_out(rng, world, story, leaving, mule, out)
        held = 0
    return sent


def _identity(rng: np.random.Generator, world: World, farm: Ints) -> _Story:
    """A farm of invented people busts out: funded from one hand, into one, or into goods."""
    story = _Story()
    members = [int(user) for user in rng.permutation(farm)]
    hub = members[0]
    story.roles = dict.fromkeys(members, Role.MEMBER)
    way = int(rng.choice(3))
    story.roles[hub] = (Role.CONTROLLER, Role.CASH_OUT, Role.MEMBER)[way]
    for member in members:
        if rng.random() < 0.5:
            at = -rng.uniform(0.3, 8.0) * DAY
            story.tell(at, DEPOSIT, _sum(rng, 4_000, 0.6), member, phase=WARM_UP)
    pace = float(rng.choice([4 * MINUTE, 12 * MINUTE, 30 * MINUTE]))
    at = 0.0
    if way == 0:
        story.tell(-2 * HOUR, DEPOSIT, _sum(rng, 90_000, 0.5), hub, phase=WARM_UP)
        for member in members[1:]:
            amount = _sum(rng, 8_000, 0.7)
            story.tell(at, TRANSFER, amount, hub, to=member)
            _cash_out(rng, world, story, at + _dwell(rng), member, int(amount * 0.97))
            at += rng.exponential(pace) + 5 * SECOND
    elif way == 1:
        total = 0
        for member in members[1:]:
            for _ in range(1 + int(rng.random() < 0.4)):
                amount = _sum(rng, 7_000, 0.7)
                total += amount
                story.tell(at, TRANSFER, amount, member, to=hub)
                at += rng.exponential(pace) + 5 * SECOND
        _cash_out(rng, world, story, at + _dwell(rng), hub, total)
    else:
        shops = _resale(rng, world, int(rng.integers(1, 4)))
        for _ in range(int(rng.integers(1, 4))):
            for member in members:
                shop = int(rng.choice(shops))
                story.tell(at, PAYMENT, _sum(rng, 6_000, 0.8), member, merchant=shop)
                at += rng.exponential(pace / 2) + 5 * SECOND
            at += rng.exponential(5 * HOUR)
    return story


def _cash_out(
    rng: np.random.Generator, world: World, story: _Story, at: float, user: int, amount: int
) -> None:
    """Out of the graph: cash in a few visits, or goods that can be sold again."""
    goods = rng.random() < 0.4
    shop = int(_resale(rng, world, 1)[0])
    for _ in range(int(rng.integers(1, 4))):
        piece = int(amount * rng.uniform(0.35, 0.9))
        if goods and piece >= 500:
            story.tell(at, PAYMENT, piece, user, merchant=shop, phase=CASH_OUT)
        elif not goods and piece >= 1_000:
            piece = min(piece // 1_000 * 1_000, 60_000)
            story.tell(at, WITHDRAWAL, piece, user, phase=CASH_OUT)
        else:
            return
        amount -= piece
        at += rng.exponential(18 * MINUTE) + MINUTE


def _dwell(rng: np.random.Generator) -> float:
    """How long stolen money rests: a median of forty minutes, sometimes half a day."""
    return float(np.clip(rng.lognormal(np.log(40 * MINUTE), 1.0), MINUTE, 12 * HOUR))


def _vpn(rng: np.random.Generator, world: World) -> int:
    return int(vpn_ip(world, rng.integers(0, VPN_POOL, 1))[0])


def _resale(rng: np.random.Generator, world: World, count: int) -> Ints:
    online = np.arange(*world.market.aisle[ONLINE : ONLINE + 2])
    resale = online[np.isin(world.market.category[online], RESALE_CATEGORIES)]
    weight = np.diff(world.market.shelf)[resale]
    return rng.choice(resale, count, p=weight / weight.sum())
