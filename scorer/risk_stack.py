"""The stack: what recent scores, rings and evidence add to the trees, learned without flattery.

Trees know the rows they grew on by heart, and what they say of those says nothing about what they
will say of others. So the past is scored out of fold, by trees that grew on what came before
(`scorer.out_of_fold`), and from these scores on: the memory they leave behind, and the weights of
all parts. A memory holds scores of the very stack that reads it, so both are found in turns: two
of them change nothing any more that could be seen.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scorer.batch_scores import BatchScores
from scorer.beside import begin
from scorer.blend import Blend
from scorer.calibration import Calibration
from scorer.decision import Policy
from scorer.fitting import fit_blend, fit_platt, sample_negatives
from scorer.metrics import paired_interval
from scorer.odds import sure_log_odds
from scorer.risk_memory import parties_of, recalled_by
from scorer.table import Rows, Table

ROUNDS: Final = 2
LEAST_FRAUDS: Final = 50
"""Frauds scored out of fold, in either slice of the past, from which a memory is tried."""


def score_history(
    table: Table, margins: NDArray[np.float32], calibration: Calibration, blend: Blend
) -> NDArray[np.float64]:
    """A whole history as a detector would score it, float64 [R, fields of a `BatchScore`].

    Args:
        table: The replayed history.
        margins: float32 [R], of the trees; NaN where a row was not scored.
        calibration: From margin to probability.
        blend: From probability, memory, ring and evidence to probability.
    """
    state, who = parties_of(table.parties.codes())
    scores = BatchScores(calibration, blend, Policy())
    known = ~np.isnan(margins)
    return scores.of(margins, table.ring_score, table.joint, state, who, table.times, known)


def learn_stack(
    table: Table,
    early: Rows,
    later: Rows,
    margins: NDArray[np.float32],
    calibration: Calibration,
    seed: int,
    *,
    rings: bool = True,
) -> Blend:
    """Learn the weights of the stack on margins out of fold.

    The memory is left out if, learned on the early rows, it ranks the later ones worse beyond doubt
    than the same stack without it (paired bootstrap of average precision). What the stack says is
    put right on the later rows at the end: they are the nearest to what is to come.

    Args:
        table: The replayed history.
        early: Rows of the past; those with a margin are learned from.
        later: The rows after them.
        margins: float32 [R], of trees that had not seen the row; NaN where there are none.
        calibration: From margin to probability.
        seed: Of the sample of legitimate rows.
        rings: Whether ring score and evidence are used as well.
    """
    learner = _Stack(table, margins, calibration, seed, rings=rings)
    early = early[~np.isnan(margins[early])]
    later = later[~np.isnan(margins[later])]
    plain = learner.fit(later, remembers=False)
    if min(table.fraud[early].sum(), table.fraud[later].sum()) < LEAST_FRAUDS:
        return plain
    past = np.sort(np.concatenate([early, later]))
    # Whether it is wanted is seen by the trial, which leaves another core idle.
    fitted = begin(lambda: learner.fit(past, remembers=True))
    without, trial = (learner.fit(early, remembers=remembers) for remembers in (False, True))
    worse = learner.is_worse(trial, without, later)
    found = fitted()
    if worse:
        return plain
    return learner.put_right(found, later) if found.memory else plain


class _Stack:
    """Fits on rows of one history; see `learn_stack`."""

    def __init__(
        self,
        table: Table,
        margins: NDArray[np.float32],
        calibration: Calibration,
        seed: int,
        *,
        rings: bool,
    ) -> None:
        if not rings:
            nothing = np.zeros(len(table.fraud))
            table = replace(table, ring_score=nothing, joint=nothing)
        self._table = table
        self._margins = margins
        self._calibration = calibration
        self._seed = seed
        self._codes = table.parties.codes()

    def fit(self, rows: Rows, *, remembers: bool) -> Blend:
        table = self._table
        chosen, weights = sample_negatives(table.fraud[rows], self._seed)
        rows = rows[chosen]
        log_odds = np.array([self._calibration.log_odds(float(m)) for m in self._margins[rows]])
        blend, recalled = Blend(), None
        for _ in range(ROUNDS if remembers else 1):
            if remembers:
                scores = self._scores(blend)
                recalled = recalled_by(self._codes, table.times, scores, rows)
            blend = fit_blend(
                log_odds,
                table.ring_score[rows],
                table.joint[rows],
                table.fraud[rows],
                recalled,
                weights,
            )
        return blend

    def is_worse(self, blend: Blend, other: Blend, rows: Rows) -> bool:
        """Whether it ranks these rows worse than the other, beyond doubt."""
        rings = [self._table.ring_ids[row] for row in rows]
        scored = begin(lambda: self._scores(other)[rows])
        scores, others = self._scores(blend)[rows], scored()
        _, high = paired_interval(scores, others, self._table.fraud[rows], rings, self._seed)
        return high < 0

    def put_right(self, blend: Blend, rows: Rows) -> Blend:
        """The same ranking with the rate of fraud of these rows (Platt's line)."""
        scores = self._scores(blend)[rows]
        line = fit_platt(sure_log_odds(scores).astype(np.float32), self._table.fraud[rows])
        return Blend(
            intercept=line.slope * blend.intercept + line.intercept,
            model=line.slope * blend.model,
            ring=line.slope * blend.ring,
            evidence=line.slope * blend.evidence,
            memory=tuple(line.slope * weight for weight in blend.memory),
        )

    def _scores(self, blend: Blend) -> NDArray[np.float64]:
        return score_history(self._table, self._margins, self._calibration, blend)[:, 1]
