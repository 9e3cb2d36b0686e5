"""Policies as files, and what bounds a policy has."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.settings import Settings
from api.wiring import configured_policy
from graph.errors import InvalidSetting
from scorer.decision import FIXED, Budget, Costs, Policy
from scorer.policy_file import load_policy, parse_policy, policy_names
from scorer.verdict import Decision

SHIPPED = Path(__file__).parents[2] / "docs" / "policies"


def test_the_examples_are_the_policies_they_say_they_are():
    assert load_policy(SHIPPED / "by-cost.toml") == Policy()
    assert load_policy(SHIPPED / "fixed.toml") == FIXED
    assert load_policy(SHIPPED / "budget.toml") == Policy(budget=Budget(0.02, 0.005))


def test_a_service_decides_by_the_file_it_is_given():
    assert configured_policy(Settings.load({})) is None
    assert configured_policy(Settings.load({}, policy="fixed")) == FIXED
    given = {"RINGFENCE_POLICY_FILE": str(SHIPPED / "budget.toml")}
    assert configured_policy(Settings.load(given)) == Policy(budget=Budget(0.02, 0.005))


def test_what_is_left_out_keeps_its_default():
    assert parse_policy("", "p.toml") == Policy()
    given_loss = parse_policy("[costs]\nloss = 900", "p.toml")
    assert given_loss == Policy(Costs(loss=900.0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[costs", r"p\.toml: is not TOML"),
        (
            "[cost]\nloss = 1",
            r"p\.toml: a policy has no such key \(found cost\).*Did you mean costs",
        ),
        ("[costs]\nlos = 1", r"p\.toml: costs: .*found los\).*Did you mean loss"),
        (
            '[costs]\nloss = "9"',
            r"p\.toml: costs\.loss: this is a number: 0, or from 1e-09 to 1e\+12 \(found '9'\)",
        ),
        ("[costs]\nloss = 1e308", r"costs\.loss: this is a number.*found 1e\+308"),
        ("[costs]\nloss = 5e-324", r"costs\.loss: this is a number.*found 5e-324"),
        ("[costs]\nloss = 1" + 400 * "0", r"costs\.loss: this is a number.*found 10000"),
        ("[costs]\nloss = true", r"costs\.loss: .*found True"),
        ("[costs]\nloss = inf", r"costs\.loss: .*found inf"),
        ("[costs]\nloss = -1", r"p\.toml: loss: this cost cannot be \(found -1\.0\)"),
        ("costs = 3", r"p\.toml: costs: this is a table"),
        ("[thresholds]\nstep_up = 0.3", r"thresholds\.decline: .* thresholds come in a pair"),
        ("[budget]\ndecline = 0.1", r"budget\.step_up: .* budget come in a pair"),
        ("[budget]\nstep_up = 0.01\ndecline = 0.1", r"p\.toml: budget: .*decline 0\.1"),
        ("[budget]\nstep_up = 1\ndecline = 0.1", r"p\.toml: budget: .*step_up 1"),
        (
            "[costs]\nstep_up_catches = 0\n[budget]\nstep_up = 0.02\ndecline = 0.01",
            r"p\.toml: budget: a budget needs a policy that steps up",
        ),
        ("[thresholds]\nstep_up = 0.8\ndecline = 0.3", r"p\.toml: thresholds: .*\(0\.8, 0\.3\)"),
    ],
)
def test_what_is_wrong_is_said_with_place_value_and_remedy(text, says):
    with pytest.raises(InvalidSetting, match=says):
        parse_policy(text, "p.toml")


def test_a_file_that_is_not_there_and_two_of_one_name_are_refused(tmp_path):
    with pytest.raises(InvalidSetting, match=r"policy: .*gone\.toml"):
        load_policy(tmp_path / "gone.toml")
    assert policy_names([Path("a/now.toml"), Path("next.toml")]) == ("now", "next")
    with pytest.raises(InvalidSetting, match="two policies have the same name"):
        policy_names([Path("a/now.toml"), Path("b/now.toml")])


@given(
    st.builds(
        Costs,
        loss=st.floats(1, 2_000),
        friction=st.floats(1, 500),
        step_up_catches=st.floats(0, 1),
        step_up_friction=st.floats(0, 300),
    ),
    st.floats(0, 1),
)
def test_the_bounds_are_where_the_decision_changes(costs, probability):
    policy = Policy(costs)
    mild, strict = policy.bounds
    assert 0 <= mild <= strict <= 1
    if min(abs(probability - mild), abs(probability - strict)) < 1e-6:
        return  # a rounding decides
    expected = (
        Decision.DECLINE
        if probability > strict
        else Decision.STEP_UP
        if probability > mild
        else Decision.APPROVE
    )
    cheapest = sorted(costs.of_each(probability))
    if cheapest[1] - cheapest[0] > 1e-9:
        assert policy.choose(probability) is expected


def test_the_default_bounds_are_those_of_the_documentation():
    assert Policy().bounds == pytest.approx((0.033, 0.436), abs=5e-4)
    assert FIXED.bounds == (0.3, 0.7)
    no_step_up = Policy(Costs(step_up_catches=0.0))
    assert no_step_up.bounds == pytest.approx((0.154, 0.154), abs=5e-4)
