"""The sequence model on the ladder: what the order of a user's last events adds to the blend.

It learns from the rows the ring model learns from, and its head hears the same context, so it is
measured against that head alone. The events are the labelled rows of the table: of a transaction
without a label a history keeps no row, and the sequence does not hear it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from api.ring_rungs import CONTEXT, PATIENCE, RingRungs
from gnn.event_sequences import Events, sequences
from scorer.feature_kernels import DECLINED
from scorer.fitting import fit_calibration
from scorer.ladder import RungScores
from scorer.splits import Split
from scorer.table import Table

_PARTIES: Final = 5
_CLIPPED: Final = 1e-6
_NO_CHANNEL: Final = -1


@dataclass(frozen=True, slots=True)
class SequenceRung:
    """A small GRU over a user's last events as a `scorer.ladder.Rung`.

    Attributes:
        of: The network rungs, whose lesson it shares.
    """

    of: RingRungs
    name: str = "sequence"
    words: str = "the head with a GRU over the user's last events"
    base: str = "head_alone"

    def fit_scores(self, table: Table, split: Split, seed: int) -> RungScores:
        """Learn from the past, score the test."""
        from gnn.sequence_training import (  # noqa: PLC0415 - imports torch
            SequenceTraining,
            score_sequences,
            train_sequence,
        )

        lesson = self.of.lesson(table, split, seed)
        rows = np.searchsorted(table.places, lesson.examples.places)
        cut = sequences(events_of(table), _log_odds(lesson.scores), rows)
        learned = train_sequence(
            cut,
            lesson.examples,
            lesson.early,
            lesson.later,
            context=CONTEXT,
            settings=SequenceTraining(epochs=self.of.epochs, patience=PATIENCE),
            seed=seed,
        )
        later, test = (
            score_sequences(learned.model, cut, lesson.examples, part).astype(np.float32)
            for part in (lesson.later, lesson.test)
        )
        calibration = fit_calibration(later, lesson.examples.fraud[lesson.later])
        earlier = cut[lesson.test, :-1, 0].astype(np.float64).sum(axis=1)
        return RungScores(
            np.array([calibration.apply(float(margin)) for margin in test]),
            {
                "epochs": len(learned.history),
                "best_epoch": learned.best_epoch,
                "earlier_events": float(earlier.mean()),
            },
        )


def events_of(table: Table) -> Events:
    """The rows of a table as events, in order of arrival."""
    who = np.zeros((len(table.fraud), 2 * _PARTIES), np.int64)
    who[:, :_PARTIES] = table.parties.codes()
    type_, outcome, channel = (
        table.rows[:, table.schema.names.index(name)]
        for name in ("type", "outcome", "channel_code")
    )
    return Events(
        who,
        table.times,
        np.log1p(np.maximum(table.values, 0)).astype(np.float32),
        type_.astype(np.int64),
        np.where(np.isnan(channel), _NO_CHANNEL, channel).astype(np.int32),
        outcome == DECLINED,
    )


def _log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(scores, _CLIPPED, 1.0 - _CLIPPED)
    odds: NDArray[np.float64] = np.log(clipped / (1.0 - clipped))
    return odds
