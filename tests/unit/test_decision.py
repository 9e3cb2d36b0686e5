import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import InvalidSetting
from graph.evidence import Evidence, Pattern, Role
from graph.transaction import Entity, EntityKind
from scorer.decision import FIXED, Budget, Costs, Policy, read_policy
from scorer.verdict import Decision

APPROVE, STEP_UP, DECLINE = Decision.APPROVE, Decision.STEP_UP, Decision.DECLINE
USER = Entity(EntityKind.USER, "u1")
probabilities = st.floats(0.0, 1.0)


def piece(pattern):
    return Evidence(pattern, 0, ((USER, Role.MEMBER),), (), 0.5, "seen")


@given(probabilities)
def test_the_cheapest_decision_wins(p):
    policy = Policy()
    decision, cost = policy.decide(p)
    assert cost == min(policy.costs.expected(other, p) for other in Decision)
    assert cost == policy.costs.expected(decision, p)


def test_the_documented_borders_hold():
    policy = Policy()
    assert [policy.choose(p) for p in (0.0, 0.032, 0.034, 0.43, 0.44, 1.0)] == [
        APPROVE,
        APPROVE,
        STEP_UP,
        STEP_UP,
        DECLINE,
        DECLINE,
    ]
    never_steps_up = Policy(Costs(step_up_catches=0.0, step_up_friction=200.0))
    assert [never_steps_up.choose(p) for p in (0.153, 0.155)] == [APPROVE, DECLINE]


@given(probabilities, probabilities)
def test_a_higher_probability_never_gets_a_milder_answer(a, b):
    order = [APPROVE, STEP_UP, DECLINE]
    low, high = sorted((a, b))
    for policy in (Policy(), FIXED):
        assert order.index(policy.choose(low)) <= order.index(policy.choose(high))


@given(st.lists(probabilities | st.sampled_from([0.3, 0.7]), max_size=8))
def test_many_at_a_time_get_the_answers_of_each_alone(some):
    never_steps_up = Policy(Costs(step_up_catches=0.0, step_up_friction=200.0))
    borders = [*Policy().bounds, *never_steps_up.bounds]
    for policy in (Policy(), FIXED, never_steps_up):
        each = [list(Decision).index(policy.choose(p)) for p in (*some, *borders)]
        assert policy.choices(np.array([*some, *borders])).tolist() == each


def test_fixed_thresholds_include_their_border():
    answers = [FIXED.choose(p) for p in (0.29, 0.3, 0.69, 0.7)]
    assert answers == [APPROVE, STEP_UP, STEP_UP, DECLINE]


@pytest.mark.parametrize("policy", [Policy(), FIXED])
def test_a_blocked_entity_is_declined_whatever_the_probability(policy):
    decision, cost = policy.decide(0.001, (piece(Pattern.MULE), piece(Pattern.BLOCKED)))
    assert decision is DECLINE
    assert cost == pytest.approx(99.9)


@pytest.mark.parametrize("policy", [Policy(), FIXED])
@given(probabilities, probabilities)
def test_connection_alone_never_declines(policy, p, own):
    decision, cost = policy.decide(p, (), own_probability=own)
    if decision is DECLINE:
        assert policy.choose(own) is DECLINE
    elif policy.choose(p) is DECLINE:
        assert decision is STEP_UP
        assert cost == policy.costs.expected(STEP_UP, p)
    else:
        assert decision is policy.choose(p)


def test_own_evidence_lifts_the_cap():
    assert Policy().decide(0.9, (), own_probability=0.1)[0] is STEP_UP
    assert Policy().decide(0.9, (piece(Pattern.CYCLE),), own_probability=0.1)[0] is DECLINE
    assert Policy().decide(0.9)[0] is DECLINE


def test_realised_costs_are_those_of_the_mistake():
    costs = Costs()
    assert costs.realised(APPROVE, fraud=True) == 550
    assert costs.realised(APPROVE, fraud=False) == 0
    assert costs.realised(DECLINE, fraud=True) == 0
    assert costs.realised(DECLINE, fraud=False) == 100
    assert costs.realised(STEP_UP, fraud=True) == pytest.approx(110)
    assert costs.realised(STEP_UP, fraud=False) == 15


def test_the_version_is_that_of_the_parameters():
    assert Policy().version == Policy(Costs(loss=550.0)).version
    others = {Policy().version, FIXED.version, Policy(Costs(loss=551.0)).version}
    assert len(others) == 3
    assert "budget" not in Policy().as_json()  # or every version would have changed
    spares = Policy(budget=Budget(0.02, 0.005))
    assert spares.version not in others
    assert read_policy(spares.as_json()) == spares
    assert read_policy(FIXED.as_json()) == FIXED
    assert read_policy(Policy().as_json()).version == Policy().version


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Costs(loss=0.0),
        lambda: Costs(friction=-1.0),
        lambda: Costs(step_up_catches=1.1),
        lambda: Costs(step_up_friction=float("nan")),
        lambda: Policy(thresholds=(0.7, 0.3)),
        lambda: Policy(thresholds=(0.0, 0.3)),
        lambda: read_policy({}),
        lambda: read_policy({"costs": {"loss": "much"}, "thresholds": None}),
        lambda: read_policy({"costs": {}, "thresholds": [0.3]}),
        lambda: read_policy({"costs": {}, "thresholds": None, "budget": {"step_up": 0.1}}),
        lambda: Budget(step_up=0.1, decline=0.0),
        lambda: Budget(step_up=float("nan"), decline=0.1),
        lambda: Policy(thresholds=(0.2, 0.2), budget=Budget(0.02, 0.01)),
    ],
)
def test_a_policy_that_cannot_work_is_refused(wrong):
    with pytest.raises(InvalidSetting):
        wrong()
