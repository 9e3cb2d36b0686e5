"""The explanation adds up to the score, names what is in the catalogue, and points at evidence."""

import dataclasses
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
import xgboost

from api.contribution_schemas import ContributionsOut
from api.routes.contributions import view
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.transaction import Entity, EntityKind
from scorer.artefact import TrainedModel
from scorer.batch_scores import BatchScore
from scorer.blend import Blend
from scorer.booster import Booster
from scorer.calibration import Platt
from scorer.decision import Policy
from scorer.explanation import MONEY, MOST, SHARED, explain
from scorer.feature_catalogue import FEATURES, SCHEMA
from scorer.feature_kernels import PATTERNS
from scorer.graph_opinion import GraphStack
from scorer.kept_rows import MOST as ROWS
from scorer.kept_rows import KeptRow, KeptRows
from scorer.odds import sigmoid
from scorer.verdict import Decision, Reason, Standing, Verdict

ALICE, BOB = Entity(EntityKind.USER, "alice"), Entity(EntityKind.USER, "bob")
PLACE = {name: index for index, name in enumerate(SCHEMA.names)}
ASKED = (
    "value_z", "user_out_to_in_24h", "device_users", "evidence_cycle", "evidence_strength",
    "ring_score", "user_past_flow", "evidence_shared_device",
)  # fmt: skip


def piece(pattern, strength, witness="t1"):
    return Evidence(
        pattern, 1_000, ((ALICE, Role.MEMBER), (BOB, Role.MEMBER)),
        (Hop(witness, ALICE, BOB, 500, 1_000),), strength, f"{pattern} seen.",
    )  # fmt: skip


CYCLE, SHARED_PHONE = piece(Pattern.CYCLE, 0.6), piece(Pattern.SHARED_DEVICE, 0.3)


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    rng = np.random.default_rng(3)
    rows = np.zeros((1_500, len(FEATURES)), np.float32)
    columns = [PLACE[name] for name in ASKED]
    rows[:, columns] = rng.normal(size=(1_500, len(columns)))
    fraud = rows[:, columns].sum(axis=1) + rng.normal(size=1_500) > 3
    trained = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 4, "nthread": 1},
        xgboost.DMatrix(rows, label=fraud),
        num_boost_round=25,
    )
    return TrainedModel(
        schema=SCHEMA,
        booster=Booster.from_json(bytes(trained.save_raw("json")), SCHEMA.names),
        calibration=Platt(0.8, -0.4),
        blend=Blend(intercept=-0.2, model=0.9, ring=1.5, evidence=0.7),
        policy=Policy(),
    )


@pytest.fixture
def row():
    found = np.zeros(len(FEATURES), np.float32)
    found[[PLACE[name] for name in ASKED]] = 1.5
    found[PLACE["device_users"]] = np.nan
    return found


def verdict(model, row, evidence=(CYCLE, SHARED_PHONE), rings=("r1", "r2")) -> Verdict:
    model_score = model.probability(row)
    return Verdict(
        transaction_id="t1",
        timestamp=1_000,
        admission="accepted",
        decision=Decision.DECLINE,
        score=model.blend.apply(model_score, 0.75, evidence),
        model_score=model_score,
        ring_score=0.75,
        expected_cost=1.0,
        reasons=(Reason("cycle", Standing.DID, "Seen.", 0.9, CYCLE.evidence_id, "r1"),),
        evidence=evidence,
        rings=rings,
        model_version=model.version,
    )


def held(model, row, **changed) -> KeptRow:
    return KeptRow(verdict(model, row, **changed), row, own=-0.25, others=1.5, gnn=math.nan)


def test_everything_adds_up_from_the_average_row_to_the_score(model, row):
    found = explain(model, held(model, row))
    parts = sum(each.added for each in found.contributions)
    assert found.base + parts + found.rest == pytest.approx(found.margin, abs=1e-5)
    assert found.margin == model.booster.margin(row)
    assert found.probability == found.verdict.model_score
    assert [term.name for term in found.terms] == ["intercept", "model", "ring", "evidence"]
    assert sum(term.weight * term.value for term in found.terms) == pytest.approx(found.log_odds)
    assert sigmoid(found.log_odds) == pytest.approx(found.verdict.score, rel=1e-12)


def test_what_was_recalled_is_told_where_the_blend_weighs_it(model, row):
    weighing = dataclasses.replace(
        model, blend=dataclasses.replace(model.blend, memory=(0.1,) * 63)
    )
    added = {term.name: term.added for term in explain(weighing, held(weighing, row)).terms}
    assert added["recent_own"] == -0.25
    assert added["recent_others"] == 1.5


def test_a_graph_model_is_one_more_term_and_scales_the_others(model, row):
    stack = GraphStack("v", intercept=-0.5, blend=0.7, gnn=0.4)
    asked = dataclasses.replace(held(model, row), gnn=2.0)
    before = explain(model, asked)
    found = explain(dataclasses.replace(model, gnn=stack), asked)
    assert [term.name for term in before.terms] == [term.name for term in found.terms[:-1]]
    assert found.terms[-1] == ("gnn", 2.0, 0.4)
    assert found.log_odds == pytest.approx(-0.5 + 0.7 * before.log_odds + 0.4 * 2.0)
    assert sigmoid(found.log_odds) == pytest.approx(stack.combine(sigmoid(before.log_odds), 2.0))
    # Where it was not asked, the blend stands as it is.
    unasked = dataclasses.replace(asked, gnn=math.nan)
    assert explain(dataclasses.replace(model, gnn=stack), unasked).terms == before.terms


def test_the_strongest_are_named_with_their_meaning_and_the_others_summed(model, row):
    found = explain(model, held(model, row))
    assert 0 < len(found.contributions) <= MOST
    strengths = [abs(each.added) for each in found.contributions]
    assert strengths == sorted(strengths, reverse=True)
    assert found.rest_count == len(FEATURES) - len(found.contributions)
    assert {each.feature.name for each in found.contributions} == set(ASKED)
    for each in found.contributions:
        assert each.feature == FEATURES[PLACE[each.feature.name]]
        unknown = each.feature.name == "device_users"
        assert math.isnan(each.value) if unknown else each.value == 1.5


def test_features_point_at_the_evidence_and_the_ring_they_speak_of(model, row):
    found = explain(model, held(model, row))
    shown = {each.feature.name: (each.evidence, each.rings) for each in found.contributions}
    cycle, phone = (CYCLE.evidence_id,), (SHARED_PHONE.evidence_id,)
    assert shown == {
        "value_z": ((), ()),
        "user_out_to_in_24h": (cycle, ()),
        "device_users": (phone, ()),
        "evidence_cycle": (cycle, ()),
        "evidence_shared_device": (phone, ()),
        "evidence_strength": (cycle + phone, ()),
        "user_past_flow": ((), ()),  # of others, before: their verdicts have it
        "ring_score": (cycle, ("r1",)),
    }
    nothing = explain(model, held(model, row, evidence=(), rings=()))
    assert not any(each.evidence or each.rings for each in nothing.contributions)


def test_every_pattern_that_a_family_speaks_of_is_one_that_rows_count():
    assert {pattern.value for pattern in MONEY | SHARED} <= set(PATTERNS)
    assert not MONEY & SHARED


def test_what_is_sent_fits_its_schema_with_unknown_values_as_null(model, row):
    sent = msgspec.json.decode(msgspec.json.encode(view(explain(model, held(model, row)))))
    assert ContributionsOut.model_validate(sent).model_dump(mode="json") == sent
    (phone,) = [each for each in sent["features"] if each["name"] == "device_users"]
    assert phone["value"] is None


def test_kept_rows_are_copies_and_the_oldest_go_first(model, row):
    kept = KeptRows(most=2)
    given, told = verdict(model, row), BatchScore(0.5, 0.6, 1.0, 0, -0.25, 1.5, 0.6, math.nan)
    for name in ("a", "b", "a", "c"):
        kept.keep(replace_id(given, name), row, told)
    before, row[0] = row[0], 99.0
    assert len(kept) == 2
    assert kept.find("b") is None
    found = kept.find("a")
    assert found is not None
    assert found.verdict.transaction_id == "a"
    assert (found.own, found.others) == (-0.25, 1.5)
    assert found.row[0] == before
    with pytest.raises(ValueError, match="read-only"):
        found.row[0] = 1.0


def replace_id(given: Verdict, transaction_id: str) -> Verdict:
    return msgspec.structs.replace(given, transaction_id=transaction_id)


def test_a_row_of_another_model_is_refused(model, row):
    with pytest.raises(ValueError, match="a row is float32"):
        explain(model, dataclasses.replace(held(model, row), row=row[:-1]))


def test_the_docs_say_how_many_rows_are_kept():
    docs = Path(__file__).parents[2] / "docs"
    for page in ("explain.md", "openapi.json"):
        assert f"the last {ROWS:,} " in (docs / page).read_text(), page
