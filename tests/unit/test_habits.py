"""Limits learned from an account's own days, seen through the whole catalogue."""

import pytest

from graph.errors import Incompatible, InvalidSetting
from graph.evidence import Evidence, Pattern, Role
from graph.habits import Habits
from graph.heuristics import Catalogue, catalogue
from graph.thresholds import Thresholds
from graph.transaction import (
    DAY,
    HOUR,
    MINUTE,
    Entity,
    EntityKind,
    Money,
    Transaction,
    TransactionType,
)
from graph.window import TransactionWindow, WindowConfig

START = 20_000 * DAY
WINDOW = WindowConfig(max_edges=1 << 13, max_accounts=4096, max_identifiers=1024, max_links=1 << 13)
FLOOR = Thresholds().fan_counterparties


def pays(day: int, n: int, payer: str, payee: str, *, gap: int = 10 * MINUTE) -> Transaction:
    return Transaction(
        f"{day}-{n}-{payer}-{payee}",
        START + day * DAY + 8 * HOUR + n * gap,
        TransactionType.TRANSFER,
        Money(100, "EUR"),
        100,
        payer,
        counterparty_id=payee,
    )


def buyers(day: int, count: int) -> list[Transaction]:
    """New buyers of one seller, between eight in the morning and one in the afternoon."""
    return [pays(day, n, f"buyer-{day}-{n}", "seller") for n in range(count)]


def told(stream: list[Transaction], book: Catalogue | None = None) -> dict[int, list[Evidence]]:
    """Fans and bursts by day."""
    book = book or catalogue()
    window = TransactionWindow(WINDOW)
    found: dict[int, list[Evidence]] = {}
    for tx in stream:
        for piece in book.detect(window, tx, window.add(tx)):
            if piece.pattern in {Pattern.FAN_IN, Pattern.FAN_OUT, Pattern.VELOCITY}:
                found.setdefault((tx.timestamp - START) // DAY, []).append(piece)
    return found


def crowd(day: int, count: int, name: str = "seller") -> Evidence:
    centre = Entity(EntityKind.USER, name)
    return Evidence(
        Pattern.FAN_IN,
        START + day * DAY,
        ((centre, Role.RECEIVER),),
        (),
        0.5,
        f"{count} accounts paid {centre}.",
        {"counterparties": float(count)},
    )


def learned(*peaks: int, thresholds: Thresholds = Thresholds()) -> Habits:
    habits = Habits(thresholds)
    for day, peak in enumerate(peaks):
        habits.beyond([crowd(day, peak)])
    return habits


def test_a_seller_is_told_for_five_days_and_then_when_it_is_out_of_the_ordinary() -> None:
    stream = [tx for day in range(9) for tx in buyers(day, 12)] + buyers(9, 30)
    found = told(stream)
    assert sorted(found) == [0, 1, 2, 3, 4, 9]
    assert found[9][-1].facts["counterparties"] == 30
    assert found[9][-1].facts["own_limit"] == 12
    assert found[9][-1].reason.startswith("30 accounts paid user:seller within ")
    assert found[9][-1].reason.endswith("; its own days stay below 13.")


def test_todays_crowd_does_not_raise_todays_limit() -> None:
    counts = [e.facts["counterparties"] for e in told(
        [tx for day in range(6) for tx in buyers(day, 12)] + buyers(6, 20)
    )[6]]  # fmt: skip
    assert counts == list(range(13, 21))


def test_a_new_collector_speaks_at_once() -> None:
    stream = [tx for day in range(6) for tx in buyers(day, 12)]
    stream += [pays(6, n, f"victim{n}", "collector") for n in range(FLOOR)]
    (piece,) = told(stream)[6]
    assert (piece.members[0][0].id, piece.facts.get("own_limit")) == ("collector", None)


def test_a_payroll_of_strangers_every_day_is_a_habit_of_its_payer_only() -> None:
    stream = [pays(d, n, "agency", f"hand-{d}-{n}") for d in range(8) for n in range(FLOOR)]
    assert sorted(told(stream)) == [0, 1, 2, 3, 4]


def test_a_nightly_batch_of_a_business_is_no_burst_but_card_testing_is() -> None:
    batch = [pays(d, n, "firm", "landlord", gap=MINUTE // 2) for d in range(7) for n in range(14)]
    burst = [pays(7, n, "firm", "landlord", gap=MINUTE // 4) for n in range(20)]
    found = told(batch + burst)
    assert sorted(found) == [0, 1, 2, 3, 4, 7]
    assert [e.facts["attempts"] for e in found[7]] == list(range(15, 21))


def test_one_extreme_day_raises_nothing() -> None:
    habits = learned(12, 12, 12, 31, 12, 12)
    assert habits.beyond([crowd(6, 12)]) == []
    assert len(habits.beyond([crowd(6, 13)])) == 1


def test_who_creeps_up_is_told_at_the_ceiling_however_long_it_takes() -> None:
    habits = learned(*(min(FLOOR + day // 2, 10 * FLOOR) for day in range(400)))
    ceiling = 4 * FLOOR
    assert habits.beyond([crowd(400, ceiling - 1)]) == []
    assert len(habits.beyond([crowd(400, ceiling)])) == 1


def test_a_rare_habit_is_none() -> None:
    """Five crowds in fifteen months: on 99 of 100 days there was none."""
    habits = Habits(Thresholds())
    for day in (0, 150, 300, 450, 600):
        habits.beyond([crowd(day, 12)])
    assert len(habits.beyond([crowd(601, FLOOR)])) == 1


def test_what_is_late_is_judged_and_not_learned() -> None:
    habits = learned(*[12] * 7)
    before = habits.snapshot()
    assert habits.beyond([crowd(2, 12)]) == []
    assert len(habits.beyond([crowd(2, 25)])) == 1
    assert habits.snapshot() == before


def test_a_ceiling_of_one_turns_habits_off() -> None:
    habits = learned(*[FLOOR] * 9, thresholds=Thresholds(own_ceiling=1.0))
    (piece,) = habits.beyond([crowd(9, FLOOR)])
    assert "own_limit" not in piece.facts


def test_other_patterns_have_no_habit() -> None:
    habits = Habits(Thresholds())
    mule = Evidence(Pattern.MULE, START, crowd(0, 9).members, (), 0.5, "A mule.")
    assert habits.beyond([mule]) == [mule]
    assert len(habits) == 0


def test_the_account_longest_quiet_is_forgotten_first() -> None:
    habits = Habits(Thresholds(own_accounts=2))
    for day in range(6):
        habits.beyond([crowd(day, 12, "a"), crowd(day, 12, "b")])
    habits.beyond([crowd(6, 12, "a"), crowd(6, 12, "c")])
    assert (len(habits), habits.pressed) == (2, 1)
    assert habits.beyond([crowd(7, 12, "a")]) == []
    assert len(habits.beyond([crowd(7, 12, "b")])) == 1


def test_habits_survive_a_restart() -> None:
    habits, other = learned(12, 14, 9, 31, 12, 12), Habits(Thresholds())
    other.restore(habits.snapshot())
    assert other.snapshot() == habits.snapshot()
    for count in (12, 14, 15, 40):
        assert other.beyond([crowd(7, count)]) == habits.beyond([crowd(7, count)])
    assert other.snapshot() == habits.snapshot()
    with pytest.raises(Incompatible):
        other.restore(habits.snapshot()[:-1])


def test_a_ceiling_below_the_floor_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="own_ceiling"):
        Thresholds(own_ceiling=0.5)
