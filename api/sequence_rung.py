"""The sequence model on the ladder: what the order of a user's last events adds to the blend.

It learns from the rows the ring model learns from, and its head hears the same context, so it is
measured against that head alone. So that what earlier events bring is told from the transaction's
own columns and from another way to draw batches, the same model also learns with no step but the
last, which is the transaction itself. The events are the labelled rows of the table: of a
transaction without a label a history keeps no row, and the sequence does not hear it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from api.ring_lesson import Lesson
from api.ring_rungs import PATIENCE, RingRungs
from gnn.event_sequences import Events, sequences
from scorer.feature_kernels import DECLINED
from scorer.fitting import fit_calibration
from scorer.graph_opinion import CONTEXT
from scorer.ladder import RungScores
from scorer.metrics import Scores, average_precision
from scorer.splits import Split
from scorer.table import Table
from scorer.wording import points

if TYPE_CHECKING:  # it imports torch, which only a ladder that runs has to wait for
    from gnn.sequence_training import LearnedSequence

OTHER_SEEDS: Final = 2
"""Seeds besides the ladder's that a rung is learned with, to show what chance does."""
_PARTIES: Final = 5
_CLIPPED: Final = 1e-6
_NO_CHANNEL: Final = -1


def sequence_rungs(of: RingRungs) -> tuple["SequenceRung", ...]:
    """The transaction's own step alone, and with the events before it.

    Args:
        of: The network rungs, whose lesson they share.
    """
    return (
        SequenceRung(of, "event_alone", "the head with the transaction's own step", earlier=False),
        SequenceRung(of, "sequence", "the head with a GRU over the user's last events"),
    )


@dataclass(frozen=True, slots=True)
class SequenceRung:
    """A small GRU over a user's last events as a `scorer.ladder.Rung`.

    Attributes:
        of: The network rungs.
        name: See `scorer.ladder.Rung`.
        words: See there.
        base: See there.
        earlier: Whether it hears the events before the transaction.
    """

    of: RingRungs
    name: str
    words: str
    base: str = "head_alone"
    earlier: bool = True

    def fit_scores(self, table: Table, split: Split, seed: int) -> RungScores:
        """Learn from the past, score the test; and once more with other seeds, for their figures.

        A small network over a drifting history depends on its seed by more than the bootstrap of
        the test knows of.
        """
        lesson = self.of.lesson(table, split, seed)
        rows = np.searchsorted(table.places, lesson.examples.places)
        cut = sequences(events_of(table), _log_odds(lesson.blend), rows)
        if not self.earlier:
            cut[:, :-1] = 0.0
        learned, scores = self._learned(cut, lesson, seed)
        fraud = lesson.examples.fraud[lesson.test]
        others = [
            average_precision(self._learned(cut, lesson, seed + more)[1], fraud)
            for more in range(1, OTHER_SEEDS + 1)
        ]
        earlier = cut[lesson.test, :-1, 0].astype(np.float64).sum(axis=1)
        return RungScores(
            scores,
            {
                "epochs": len(learned.history),
                "best_epoch": learned.best_epoch,
                "earlier_events": float(earlier.mean()),
                "other_seeds": others,
            },
            (f"With other seeds its average precision is {' and '.join(map(points, others))}.",),
        )

    def _learned(
        self, cut: NDArray[np.float16], lesson: Lesson, seed: int
    ) -> tuple["LearnedSequence", Scores]:
        """A model, and its calibrated probabilities of the test."""
        from gnn.sequence_training import (  # noqa: PLC0415 - imports torch
            SequenceTraining,
            score_sequences,
            train_sequence,
        )

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
        return learned, np.array([calibration.apply(float(margin)) for margin in test])


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
