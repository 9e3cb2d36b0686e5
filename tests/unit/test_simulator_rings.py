"""Every kind of ring does what its literature says, and its money is real."""

from collections import defaultdict
from copy import deepcopy
from functools import cache

import numpy as np
import pytest

from graph.evidence import Role
from graph.transaction import DAY, HOUR, MINUTE
from ingest.simulator import KINDS, VARIANTS, SimulationConfig, frame_of, run
from ingest.simulator.flows import BURST, CASH_OUT, DEPOSIT, PAYMENT, REFUND, TRANSFER, WITHDRAWAL
from ingest.simulator.population import World, build_world
from ingest.simulator.rings import told
from ingest.simulator.rings.cast import OF_ONE_TOWN, Cast
from ingest.simulator.rings.evasion import EVASIONS
from ingest.simulator.rings.planting import TELLERS
from ingest.simulator.rings.scene import Scene
from ingest.simulator.rings.story import AUTHORISED, DECLINED, LIFE, Row, Story

ON_CREDIT = {
    "device_farm",
    "synthetic_identity",
    "card_testing",
    "bust_out",
    "collusive_merchant",
    "refund_abuse",
}
"""Kinds whose purchases are paid by a card, not from what arrived."""
MANY = 25


@cache
def stories(kind: str, evading_share: float = 0.0) -> tuple[World, list[tuple[str, Story]]]:
    config = SimulationConfig(
        users=3_000, ring_counts={kind: MANY}, evading_share=evading_share, days=20
    )
    world = build_world(np.random.default_rng(2), config)
    return world, [(variant, story) for _, variant, story in told(np.random.default_rng(3), world)]


def plain(kind: str) -> list[Story]:
    return [story for _, story in stories(kind)[1]]


def burst(story: Story) -> list[Row]:
    return sorted((row for row in story.rows if row.phase == BURST), key=lambda row: row.at)


def overdrawn(kind: str, story: Story) -> list[Row]:
    """Rows by which a member spends what had not arrived; victims have money of their own."""
    victims = set(story.having(Role.VICTIM))
    balance: dict[int, int] = defaultdict(int)
    found = []
    # At one instant money leaves before it arrives: the stricter reading.
    arrives = {DEPOSIT, REFUND}
    for row in sorted(story.rows, key=lambda row: (row.at, row.type in arrives)):
        if row.outcome == DECLINED:
            continue
        if row.type in arrives:
            balance[row.user] += row.amount
            continue
        if row.type == TRANSFER:
            balance[row.to] += row.amount
        counts = row.phase in (BURST, CASH_OUT, LIFE) and row.user not in victims
        if counts and (row.type != PAYMENT or kind not in ON_CREDIT):
            balance[row.user] -= row.amount
            if balance[row.user] < 0:
                found.append(row)
    return found


def test_every_kind_has_a_teller_and_every_variant_a_way() -> None:
    assert set(TELLERS) == set(KINDS)
    assert set(EVASIONS) == set(VARIANTS[1:])
    assert {way for kind in KINDS.values() for way in kind.evasions} == set(EVASIONS)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_passes_on_what_has_not_arrived(kind: str) -> None:
    for variant, story in [*stories(kind)[1], *stories(kind, 1.0)[1]]:
        assert not overdrawn(kind, story), variant


@pytest.mark.parametrize("kind", KINDS)
def test_a_story_has_a_burst_that_begins_it_and_a_part_for_everybody(kind: str) -> None:
    sizes = set()
    for variant, story in [*stories(kind)[1], *stories(kind, 1.0)[1]]:
        assert min(row.at for row in story.rows if row.phase in (BURST, CASH_OUT)) == 0.0
        assert all(row.at < 0 for row in story.rows if row.phase == 0), variant
        parties = {row.user for row in story.rows if row.phase != LIFE}
        parties |= {row.to for row in story.rows if row.to >= 0 and row.phase != LIFE}
        assert parties <= set(story.roles)
        assert all(row.amount > 0 for row in story.rows)
        assert set(story.roles.values()) - {Role.VICTIM}
        recruited = [user for user in story.roles if user < stories(kind)[0].people]
        robbed = story.having(Role.VICTIM)
        assert len(set(recruited) - set(robbed)) <= KINDS[kind].members
        sizes.add(len(story.roles))
    assert len(sizes) >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_rings_have_as_much_fraud_as_their_kind_says(kind: str) -> None:
    crimes = [sum(row.phase in (BURST, CASH_OUT) for row in s.rows) for s in plain(kind)]
    assert np.mean(crimes) == pytest.approx(KINDS[kind].frauds, rel=0.34)


def test_nobody_is_in_two_rings_and_a_ring_has_one_currency() -> None:
    config = SimulationConfig(users=3_000, ring_counts=dict.fromkeys(KINDS, 4), days=5)
    world = build_world(np.random.default_rng(5), config)
    members: list[int] = []
    for _, _, story in told(np.random.default_rng(6), world):
        victims = story.having(Role.VICTIM)
        own = [user for user in story.roles if user not in victims]
        members += own
        settled = [user for user in [*own, *victims] if user < world.people]
        places = {int(world.city[user]) for user in settled}
        assert len({"GBP" if c in (14, 15) else "USD" if c > 15 else "EUR" for c in places}) <= 1
    assert len(set(members)) == len(members)


def test_most_crews_are_of_one_town_and_the_others_and_all_victims_of_many() -> None:
    world = build_world(np.random.default_rng(5), SimulationConfig(users=20_000, days=5))
    cast = Cast(np.random.default_rng(6), world)
    towns, robbed = list[int](), list[int]()
    for _ in range(200):
        towns.append(len(set(world.city[cast.members(4)].tolist())))
        robbed.append(len(set(world.city[cast.victims(4)].tolist())))
    assert np.mean([count == 1 for count in towns]) == pytest.approx(OF_ONE_TOWN, abs=0.1)
    assert np.mean([count > 2 for count in towns if count > 1]) > 0.7
    assert np.mean([count > 2 for count in robbed]) > 0.7


def test_a_crew_too_large_for_any_town_is_of_several() -> None:
    world = build_world(np.random.default_rng(5), SimulationConfig(users=300, days=5))
    crew = Cast(np.random.default_rng(6), world).members(60)
    assert len(crew) == len(set(crew)) == 60


def test_a_taken_over_account_pays_new_people_much_from_the_thiefs_machine_within_the_hour() -> (
    None
):
    world, told_ = stories("takeover")
    sessions = []
    for _, story in told_:
        hands = {row.device for row in burst(story)}
        assert len(hands) == 1
        for victim in story.having(Role.VICTIM):
            rows = [row for row in burst(story) if row.user == victim]
            sessions.append(rows[-1].at - rows[0].at)
            assert len({row.ip for row in rows}) == 1
            assert hands.isdisjoint({world.device[victim], world.second_device[victim]})
            assert max(row.amount for row in rows) > 2 * 6_500 * world.affluence[victim]
    # A thief takes his time in one session of fifty.
    assert np.mean(np.array(sessions) < HOUR) > 0.95


def test_card_testing_is_many_cards_small_sums_mostly_declined_within_minutes() -> None:
    world, told_ = stories("card_testing")
    declined = 0
    for _, story in told_:
        rows = [row for row in burst(story) if row.type == PAYMENT]
        assert len({row.card for row in rows}) >= 10
        assert len({row.merchant for row in rows}) == 1
        assert max(row.amount for row in rows) <= 1_000
        assert rows[-1].at - rows[0].at < 90 * MINUTE
        declined += sum(row.outcome == DECLINED for row in rows) / len(rows) > 0.5
        holders = {int(world.card[user]) for user in story.having(Role.VICTIM)}
        assert {row.card for row in rows} <= holders
    assert declined > 0.8 * MANY


def test_a_bust_out_grows_and_is_then_maxed_out_within_days() -> None:
    for story in plain("bust_out"):
        for member in story.roles:
            grew = [
                r.amount
                for r in story.rows
                if r.user == member and r.type == PAYMENT and r.phase == 0
            ]
            spent = [row for row in burst(story) if row.user == member and row.type == PAYMENT]
            paid = [row.amount for row in spent if row.outcome == AUTHORISED]
            assert sum(paid) > max(grew)
            assert spent[-1].at - spent[0].at < 14 * DAY
    assert sum(any(r.type == REFUND for r in s.rows) for s in plain("bust_out")) > MANY / 2
    bounced = [r for s in plain("bust_out") for r in s.rows if r.type == DEPOSIT and r.outcome == 1]
    assert len(bounced) > MANY / 2


def test_buyers_of_a_collusive_merchant_come_back_and_share_its_machines() -> None:
    refunds = 0
    for story in plain("collusive_merchant"):
        bought = [row for row in burst(story) if row.type == PAYMENT]
        assert {row.merchant for row in bought} == set(story.merchants)
        assert len(story.merchants) == 1
        assert len(bought) >= 2.5 * len({row.user for row in bought})
        refunds += sum(row.type == REFUND for row in story.rows)
    assert refunds > MANY


@pytest.mark.parametrize("kind", ["collusive_merchant", "refund_abuse", "bust_out"])
def test_what_is_refunded_was_bought_before_for_at_least_as_much(kind: str) -> None:
    for variant, story in [*stories(kind)[1], *stories(kind, 1.0)[1]]:
        bought = defaultdict(int)
        for row in sorted(story.rows, key=lambda row: row.at):
            if row.type == PAYMENT and row.outcome != DECLINED:
                bought[row.user, row.merchant] += row.amount
            if row.type == REFUND:
                bought[row.user, row.merchant] -= row.amount
                assert bought[row.user, row.merchant] >= 0, variant


def test_structured_cash_stays_under_the_threshold_but_near_it() -> None:
    cash = [r.amount for s in plain("structuring") for r in burst(s) if r.type == DEPOSIT]
    assert max(cash) < 1_000_000
    assert np.median(cash) > 850_000
    for story in plain("structuring"):
        sent = [row for row in burst(story) if row.type == TRANSFER]
        assert {row.to for row in sent} == {story.having(Role.CONTROLLER)[0]}


def test_fans_have_one_hub() -> None:
    for story in plain("fan_in"):
        rows = burst(story)
        assert len({row.to for row in rows}) == 1
        assert len({row.user for row in rows}) >= 6
    for story in plain("fan_out"):
        rows = burst(story)
        assert len({row.user for row in rows}) == 1
        assert len({row.to for row in rows}) >= 5


def layers_of(story: Story) -> int:
    """Hops of the longest way that money takes through the burst."""
    depth: dict[int, int] = defaultdict(int)
    for row in burst(story):
        if row.type == TRANSFER:
            depth[row.to] = max(depth[row.to], depth[row.user] + 1)
    return max(depth.values())


def test_layered_kinds_have_their_layers() -> None:
    assert {layers_of(story) for story in plain("scatter_gather")} == {2}
    assert {layers_of(story) for story in plain("gather_scatter")} == {2}
    assert {layers_of(story) for story in plain("bipartite")} == {1}
    assert {layers_of(story) for story in plain("stack")} == {2, 3}
    assert min(layers_of(story) for story in plain("chain")) == 4
    for story in plain("scatter_gather"):
        rows = burst(story)
        source, sink = rows[0].user, rows[-1].to
        out = {row.to for row in rows if row.user == source}
        assert out == {row.user for row in rows if row.to == sink}
        assert len(out) >= 3
    for story in plain("bipartite"):
        pairs = {(row.user, row.to) for row in burst(story)}
        sources, targets = {a for a, _ in pairs}, {b for _, b in pairs}
        assert len(pairs) >= 0.6 * len(sources) * len(targets)
        assert sources.isdisjoint(targets)


def test_linked_identities_share_what_the_kind_says() -> None:
    world, told_ = stories("synthetic_identity")
    for _, story in told_:
        members = list(story.roles)
        assert all(user >= world.people for user in members)
        assert len(set(world.device[members])) <= 2
        assert len(set(world.household[members])) == 1
        assert (world.config.start - world.created_at[members]).max() < 61 * DAY
    world, told_ = stories("bust_out")
    for _, story in told_:
        members = list(story.roles)
        assert len(set(world.device[members])) == len(members)
        assert (world.config.start - world.created_at[members]).min() > 100 * DAY


def test_sleepers_do_nothing_until_they_burst() -> None:
    config = SimulationConfig(
        seed=3, days=20, users=1_000, ring_counts={"dormant_burst": 6}, rings_from=10
    )
    simulation = run(config)
    frame = frame_of(simulation)
    slept = 0
    for ring in simulation.rings.to_pylist():
        begins = frame[frame.ring_id == ring["ring_id"]].timestamp.min()
        before = frame[frame.timestamp < begins]
        for member in ring["members"]:
            if member["role"] == "mule":
                name = member["user_id"]
                assert not (before.user_id == name).any()
                assert not (before.counterparty_id == name).any()
                assert (frame.user_id == name).any()
                slept += 1
    assert slept >= 12


def test_a_kind_that_drifts_in_is_not_there_before_its_day() -> None:
    counts = dict.fromkeys(KINDS, 2)
    config = SimulationConfig(
        days=20, users=2_000, ring_counts=counts, drift_kind="takeover", drift_day=12
    )
    frame = frame_of(run(config))
    crime = frame[frame.fraud.fillna(value=False)]
    first = crime.groupby("ring_kind").timestamp.min()
    assert first["takeover"] >= config.start + 12 * DAY
    assert first.drop("takeover").min() < config.start + 5 * DAY
    assert crime[crime.ring_kind == "takeover"].ring_id.nunique() == 2


def test_evading_variants_evade() -> None:
    """Each leaves another trace of its plain story: more and smaller, slower, honest, elsewhere."""
    by_variant: dict[str, list[Story]] = defaultdict(list)
    for kind in ("chain", "fan_in", "scatter_gather", "stack"):
        for variant, story in stories(kind, 1.0)[1]:
            by_variant[variant].append(story)
    usual = [
        story for kind in ("chain", "fan_in", "scatter_gather", "stack") for story in plain(kind)
    ]

    def moved(some: list[Story]) -> list[Row]:
        return [row for story in some for row in burst(story) if row.type == TRANSFER]

    assert set(by_variant) == set(EVASIONS)
    split, whole = moved(by_variant["split"]), moved(usual)
    assert np.median([r.amount for r in split]) < 0.7 * np.median([r.amount for r in whole])
    lengths = [np.median([s.length for s in some]) for some in (by_variant["delayed"], usual)]
    assert lengths[0] > 2.5 * lengths[1]
    assert all(any(row.phase == LIFE for row in story.rows) for story in by_variant["mixed"])
    for story in by_variant["rotated"]:
        victims = story.having(Role.VICTIM)
        hands = [row.device for row in burst(story) if row.user not in victims]
        assert min(hands, default=0) >= 0
    assert not any(row.phase == LIFE for story in usual for row in story.rows)


@pytest.mark.parametrize(
    ("kind", "way"), [(kind, way) for kind, each in KINDS.items() for way in each.evasions]
)
def test_every_way_to_hide_changes_the_stories_of_its_kinds(kind: str, way: str) -> None:
    world, told_ = stories(kind)
    rng = np.random.default_rng(8)
    changed = 0
    for _, story in told_:
        hidden = deepcopy(story)
        EVASIONS[way](Scene(rng, world, Cast(rng, world)), hidden)
        changed += hidden.rows != story.rows
        assert hidden.roles == story.roles
    assert changed > 0.8 * MANY


def test_a_quarter_of_the_rings_evade_by_default() -> None:
    config = SimulationConfig(users=6_000, ring_counts=dict.fromkeys(KINDS, 14))
    world = build_world(np.random.default_rng(1), config)
    variants = [variant for _, variant, _ in told(np.random.default_rng(1), world)]
    assert np.mean([variant != "plain" for variant in variants]) == pytest.approx(0.25, abs=0.09)
    assert set(variants) == set(VARIANTS)


def test_withdrawals_are_what_a_machine_gives() -> None:
    for kind in KINDS:
        for story in plain(kind):
            cash = [row.amount for row in story.rows if row.type == WITHDRAWAL]
            assert all(amount % 1_000 == 0 and amount <= 60_000 for amount in cash)
