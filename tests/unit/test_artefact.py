import subprocess
from dataclasses import replace

import numpy as np
import pytest
import xgboost

from graph.errors import Incompatible, InvalidSetting
from scorer.artefact import (
    FILES,
    JUDGE,
    METADATA,
    MODEL,
    RING_JUDGE,
    SUMS,
    TrainedModel,
    load_model,
)
from scorer.blend import Blend
from scorer.booster import Booster
from scorer.calibration import Platt
from scorer.decision import FIXED
from scorer.ports import FeatureSchema
from scorer.starter import starter

SCHEMA = FeatureSchema(
    ("amount", "count_1h", "ring_score"),
    ("amount", "velocity", "ring"),
    frozenset({"ring"}),
    frozenset({"ring"}),
)


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2_000, 3)).astype(np.float32)
    y = x.sum(axis=1) > 2.0
    trained = xgboost.train(
        {"objective": "binary:logistic", "nthread": 1, "max_depth": 4},
        xgboost.DMatrix(x, label=y, feature_names=list(SCHEMA.names)),
        20,
    )
    return TrainedModel(
        schema=SCHEMA,
        booster=Booster.from_json(bytes(trained.save_raw("json")), SCHEMA.names),
        calibration=Platt(0.9, -0.2),
        blend=Blend(0.1, 0.8, 0.7, 0.6),
        policy=FIXED,
        judge=starter(),
        seed=7,
        created="2026-01-01T00:00:00Z",
        metrics={"average_precision": 0.5},
        data={"transactions": 2_000},
        versions={"xgboost": "3"},
    )


def test_what_is_saved_is_what_is_loaded(model, tmp_path):
    model.save(tmp_path / "m")
    again = load_model(tmp_path / "m", SCHEMA)
    assert again.version == model.version
    assert len(again.version) == 16
    for name in ("schema", "calibration", "blend", "policy", "seed", "created", "metrics", "data"):
        assert getattr(again, name) == getattr(model, name)
    rows = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    assert [again.probability(row) for row in rows] == [model.probability(row) for row in rows]
    assert again.judge.as_json() == model.judge.as_json()
    assert again.judge.booster.saved == model.judge.booster.saved
    assert again.judge.of_rings.booster.saved == model.judge.of_rings.booster.saved


def test_a_model_without_a_judge_leaves_none_behind(model, tmp_path):
    model.save(tmp_path)
    replace(model, judge=None).save(tmp_path)
    assert not (tmp_path / JUDGE).exists()
    assert not (tmp_path / RING_JUDGE).exists()
    assert load_model(tmp_path, SCHEMA).judge is None


def test_a_model_whose_judge_knows_no_rings_is_read(model, tmp_path):
    """As models of before are: the score alone tells."""
    model.save(tmp_path)
    replace(model, judge=replace(model.judge, of_rings=None)).save(tmp_path)
    assert not (tmp_path / RING_JUDGE).exists()
    assert load_model(tmp_path, SCHEMA).judge.likelihood is None


def test_equal_models_make_equal_bytes_over_an_older_one(model, tmp_path):
    model.save(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / MODEL).write_text("older")
    model.save(tmp_path / "b")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_checksums_are_those_of_sha256sum(model, tmp_path):
    model.save(tmp_path)
    checked = subprocess.run(
        ["sha256sum", "-c", SUMS], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert checked.stdout.count("OK") == 4


@pytest.mark.parametrize("name", FILES)
def test_any_flipped_byte_is_refused(model, tmp_path, name):
    model.save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for place in (0, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        torn = bytearray(whole)
        torn[place] ^= 0x04
        (tmp_path / name).write_bytes(bytes(torn))
        with pytest.raises(Incompatible, match="checksums do not match"):
            load_model(tmp_path)


@pytest.mark.parametrize("name", [MODEL, METADATA, SUMS])
def test_a_directory_that_lacks_a_file_is_refused(model, tmp_path, name):
    model.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(Incompatible, match=rf"{name}: .*No such file.*ringfence train"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", [JUDGE, RING_JUDGE])
def test_a_judge_that_is_gone_with_its_checksum_is_missed(model, tmp_path, name):
    model.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(Incompatible, match="checksums do not match"):
        load_model(tmp_path)
    kept = [line for line in (tmp_path / SUMS).read_text().splitlines() if f"  {name}" not in line]
    (tmp_path / SUMS).write_text("\n".join(kept) + "\n")
    with pytest.raises(Incompatible, match="in one of the two files only"):
        load_model(tmp_path)


def test_another_order_or_set_of_features_is_refused(model, tmp_path):
    model.save(tmp_path)
    turned = FeatureSchema(("count_1h", "amount", "ring_score"), SCHEMA.families)
    with pytest.raises(Incompatible, match=r"column 0 was 'amount'.*found count_1h"):
        load_model(tmp_path, turned)
    longer = FeatureSchema((*SCHEMA.names, "new"), (*SCHEMA.families, "new"))
    with pytest.raises(Incompatible, match=r"trained on 3 features \(found 4\)"):
        load_model(tmp_path, longer)


def rewritten(model, directory, old, new):
    """As an attacker with a hash function would: change the metadata and its checksum."""
    model.save(directory)
    metadata = (directory / METADATA).read_bytes()
    assert old in metadata
    (directory / METADATA).write_bytes(metadata.replace(old, new))
    made = subprocess.run(
        ["sha256sum", JUDGE, METADATA, MODEL, RING_JUDGE],
        cwd=directory,
        capture_output=True,
        check=True,
    )
    (directory / SUMS).write_bytes(made.stdout)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"format": 4', b'"format": 1', "expected format 4"),
        (b'"context_hash": "', b'"context_hash": "0', "taught on another context"),
        (b'"birth": 0', b'"birth": 7', "bounds of a judge"),
        (b'"facts"', b'"fads"', "bounds of a judge"),
        (b'"asked"', b'"taxed"', "bounds of a judge of rings"),
        (b'"count_1h"', b'"count_2h"', "hash that was recorded"),
        (b'"platt"', b'"magic"', "calibration"),
        (b'"model": 0.8', b'"model": -1', "weights of a blend"),
        (b'"loss": 550', b'"loss": -50', "cannot be understood"),
        (b'"names"', b'"terms"', "cannot be understood"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(model, tmp_path, old, new, said):
    rewritten(model, tmp_path, old, new)
    with pytest.raises(Incompatible, match=said):
        load_model(tmp_path)


def test_a_directory_that_cannot_be_written_is_named(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSetting, match=r"model directory.*file"):
        model.save(tmp_path / "file")


def test_the_own_probability_takes_back_what_the_connection_added(model):
    alone = np.array([0.5, 0.5, -1.0], dtype=np.float32)
    in_ring = np.array([0.5, 0.5, 3.0], dtype=np.float32)
    blended = model.blend.apply(model.probability(in_ring), 0.0, ())
    assert model.own_probability(in_ring) < blended
    assert model.own_probability(alone) == pytest.approx(
        model.blend.apply(model.probability(alone), 0.0, ())
    )
    assert model.shares(in_ring)[0].family == "ring"
