"""A learned limit against the sorted list of all peaks."""

from hypothesis import given, settings
from hypothesis import strategies as st

from graph.evidence import Evidence, Pattern, Role
from graph.habits import ACCURACY, Habits
from graph.thresholds import Thresholds
from graph.transaction import DAY, Entity, EntityKind
from tests.examples import examples

CENTRE = Entity(EntityKind.USER, "seller")


def crowd(day: int, count: int) -> Evidence:
    facts = {"counterparties": float(count)}
    return Evidence(
        Pattern.FAN_IN, day * DAY, ((CENTRE, Role.RECEIVER),), (), 0.5, f"{count}.", facts
    )


@settings(max_examples=examples(150), deadline=None)
@given(
    life=st.lists(st.tuples(st.integers(1, 4), st.integers(8, 400)), min_size=1, max_size=40),
    asked=st.integers(1, 60),
    quantile=st.floats(0.01, 1.0),
    ceiling=st.floats(1.0, 60.0),
)
def test_a_limit_is_the_quantile_of_the_days_within_the_error(
    life, asked, quantile, ceiling
) -> None:
    limits = Thresholds(own_quantile=quantile, own_ceiling=ceiling)
    floor, highest = limits.fan_counterparties, int(limits.fan_counterparties * ceiling)
    habits, day, peaks = Habits(limits), 0, []
    for gap, count in life:
        peaks += [0] * (gap - 1 if peaks else 0)
        day += gap
        habits.beyond([crowd(day, floor), crowd(day, count)])
        peaks.append(min(count, highest))
    peaks += [0] * (asked - 1)
    day += asked

    told = [n for n in range(floor, highest + 2) if habits.beyond([crowd(day, n)])]
    spoken = told[0]
    assert told == list(range(spoken, highest + 2))  # a limit is one number
    assert floor <= spoken <= highest  # never below the floor, and the ceiling is always told
    exact = sorted(peaks)[int(quantile * (len(peaks) - 1))]
    if len(life) < limits.own_days:
        assert spoken == floor
        return
    least = min(exact + 1, highest)
    most = min(int(exact * (1 + ACCURACY) / (1 - ACCURACY) + 1e-6) + 1, highest)
    assert max(least, floor) <= spoken <= max(most, floor)
