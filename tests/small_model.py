"""A model of a few seconds: trees that ask about four features and notice little but evidence."""

from pathlib import Path

import numpy as np
import xgboost

from scorer.artefact import TrainedModel
from scorer.blend import Blend
from scorer.booster import Booster
from scorer.calibration import Platt
from scorer.decision import Policy
from scorer.feature_catalogue import SCHEMA

ASKED = ("value_log", "evidence_cycle", "ring_score", "user_out_to_in_24h")


def save_model(folder: Path, intercept: float = -8.0) -> Path:
    """Write it; the lower the intercept of its calibration, the more it approves."""
    rng = np.random.default_rng(3)
    rows = np.zeros((800, len(SCHEMA.names)), np.float32)
    columns = [SCHEMA.names.index(name) for name in ASKED]
    rows[:, columns] = rng.normal(0.5, 1.0, size=(800, len(columns)))
    fraud = rows[:, columns].sum(axis=1) + rng.normal(size=800) > 3
    trained = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 3, "nthread": 1},
        xgboost.DMatrix(rows, label=fraud),
        num_boost_round=12,
    )
    TrainedModel(
        schema=SCHEMA,
        booster=Booster.from_json(bytes(trained.save_raw("json")), SCHEMA.names),
        calibration=Platt(1.0, intercept),
        blend=Blend(intercept=0.1, model=0.9, ring=1.5, evidence=2.0),
        policy=Policy(),
    ).save(folder)
    return folder
