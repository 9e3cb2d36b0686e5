"""How far the path method of verdicts is from exact contributions, on given rows.

A verdict names the families of features that spoke for fraud (`scorer.reasons.family_shares`) by
the path method, since exact values take longer than the verdict. What that costs is measured here:
by how much a family's log-odds are off, and how often the verdict would name other families.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scorer.booster import Booster
from scorer.ports import FeatureSchema
from scorer.reasons import columns_of, shares_of
from scorer.tree_shap import exact_contributions

FIRST: Final = 3
"""Families whose agreement is counted: what a person reads of a list."""


@dataclass(frozen=True, slots=True)
class ShareError:
    """What the path method says of families, against exact Shapley values.

    Attributes:
        rows: Rows that were looked at.
        mean_error: Mean absolute difference of a family's log-odds, over rows and families.
        mean_weight: Mean absolute exact log-odds of a family: what the error is to be held to.
        p99_error: 99th percentile of the differences.
        named: Rows of which either method names a family.
        top_agrees: Share of these whose strongest family is the same by both.
        first_agree: Share of these whose strongest three are the same set by both.
        weighed_missed: Share of exact log-odds of named families that the path method leaves
            unnamed: its weight is below what is worth a sentence.
    """

    rows: int
    mean_error: float
    mean_weight: float
    p99_error: float
    named: int
    top_agrees: float
    first_agree: float
    weighed_missed: float


def share_error(booster: Booster, schema: FeatureSchema, rows: NDArray[np.float32]) -> ShareError:
    """Compare both on `rows`, float32 [R, F]; about a millisecond a row.

    Raises:
        ValueError: There is no row.
    """
    if not len(rows):
        raise ValueError("an error is that of at least one row")
    errors, weights = [], []
    named = top = first = 0
    missed = said = 0.0
    for row in rows:
        fast, exact = booster.contributions(row)[0], exact_contributions(booster.forest, row)[0]
        by_path, by_shap = _by_family(fast, schema), _by_family(exact, schema)
        errors.append(np.abs(by_path - by_shap))
        weights.append(np.abs(by_shap))
        ours, true = shares_of(fast, schema, row), shares_of(exact, schema, row)
        if not (ours or true):
            continue
        named += 1
        known = [share.family for share in ours]
        right = [share.family for share in true]
        top += known[:1] == right[:1]
        first += set(known[:FIRST]) == set(right[:FIRST])
        said += sum(share.weight for share in true)
        missed += sum(share.weight for share in true if share.family not in known)
    return ShareError(
        rows=len(rows),
        mean_error=float(np.mean(errors)),
        mean_weight=float(np.mean(weights)),
        p99_error=float(np.percentile(errors, 99)),
        named=named,
        top_agrees=top / named if named else 1.0,
        first_agree=first / named if named else 1.0,
        weighed_missed=missed / said if said else 0.0,
    )


def _by_family(contributions: NDArray[np.float64], schema: FeatureSchema) -> NDArray[np.float64]:
    """Sums of the families, in the order of their first column."""
    return np.array(
        [contributions[list(columns)].sum() for _, columns in columns_of(schema.families)]
    )
