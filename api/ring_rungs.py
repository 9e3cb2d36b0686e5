"""The ring model on the ladder: what a graph network adds to the blend, and what its edges do.

`scorer` and `gnn` do not know each other; here the recording of a replay, the blend's own scores
and the network meet. The head hears what the blend says of a transaction, out of fold for the past,
and the embeddings of its parties as of the last hourly snapshot. So that a gain of the edges can be
told from that of one more layer on the same scores, there are the head alone, nodes without edges,
and the two usual convolutions, all learned the same way from the same rows. Two have the risk
memories of the same scores at every node (`api.neighbour_risk`), with and without edges. One is
added to the blend's log-odds and learns what to correct: with few frauds the others forget what
the blend knew.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from api.neighbour_risk import ACCOUNT_COLUMNS, IDENTIFIER_COLUMNS, NeighbourRisk
from gnn.recording import Recorder
from gnn.spool import Spool, SpoolWriter, open_spool
from scorer.batch_scores import BatchScore
from scorer.detector import Detector
from scorer.fitting import BoosterSettings, fit_calibration, sample_negatives
from scorer.ladder import Rung, RungScores
from scorer.ports import Replayer
from scorer.splits import Split, require_both
from scorer.table import Rows, Table
from scorer.training import learn_from

if TYPE_CHECKING:  # it imports torch, which only a ladder that runs has to wait for
    from gnn.examples import Examples, Extras
    from gnn.model import Convolution

CONTEXT: Final = ("model_log_odds", "blend_log_odds", "recent_own", "recent_others", "value_log")
"""What the head hears of a transaction beside the embeddings of its parties."""
_BLEND: Final = CONTEXT.index("blend_log_odds")
EPOCHS: Final = 12
PATIENCE: Final = 3
_MODEL, _SCORE, _, _, _OWN, _OTHERS = range(len(BatchScore._fields))


@dataclass(frozen=True, slots=True)
class _Lesson:
    """Examples, which of them are learned from, stop, and are judged, and what nodes remember."""

    examples: "Examples"
    early: Rows
    later: Rows
    test: Rows
    risk: NeighbourRisk


class RingRungs:
    """Records the replay of an evaluation, and makes the rungs that learn from the recording.

    Args:
        replayer: Replays.
        detector: The detector in it.
        folder: For the recording: 0.4 GB a hundred thousand transactions.
        settings: How the trees of the blend are grown; the defaults if left out.
        epochs: Most of them, a rung.

    Attributes:
        epochs: Most epochs of a rung.
        replayer: What the history is to be replayed with.
        folder: Where the recording is.
    """

    def __init__(
        self,
        replayer: Replayer,
        detector: Detector,
        folder: Path,
        settings: BoosterSettings | None = None,
        *,
        epochs: int = EPOCHS,
    ) -> None:
        profiles = detector.heuristics.profiles
        recorder = Recorder(replayer, detector.window, profiles, SpoolWriter(folder))
        self.replayer: Final[Replayer] = recorder
        self.folder: Final = folder
        self.epochs: Final = epochs
        self._recorder = recorder
        self._settings = settings or BoosterSettings()
        self._lesson: _Lesson | None = None

    def rungs(self) -> tuple[Rung, ...]:
        """The head alone, nodes alone, GCN, GraphSAGE, ours in three forms, nodes with memories."""
        head, nodes = "head_alone", "nodes_with_risk"
        shapes: tuple[tuple[str, str, str, Convolution], ...] = (
            (head, "a head on the blend's own scores", "blend", "none"),
            ("nodes_alone", "the same with entities but no edges", head, "alone"),
            ("gcn", "the same with a GCN", head, "gcn"),
            ("sage", "the same with GraphSAGE", head, "sage"),
            ("gnn", "the same with the graph neural network", head, "relational"),
        )
        remembering: tuple[tuple[str, str, str, Convolution], ...] = (
            (nodes, "entities with their risk memories but no edges", head, "alone"),
            ("gnn_with_risk", "the graph neural network with risk memories", nodes, "relational"),
        )
        return (
            *(_RingRung(self, *shape) for shape in shapes),
            _RingRung(
                self,
                "gnn_onto_blend",
                "the blend corrected by the graph neural network",
                "blend",
                "relational",
                onto=CONTEXT[_BLEND],
            ),
            *(_RingRung(self, *shape, remembers=True) for shape in remembering),
        )

    def lesson(self, table: Table, split: Split, seed: int) -> _Lesson:
        """What all rungs learn from; made once."""
        if self._lesson is None:
            self._recorder.finish()
            spool = open_spool(self.folder)
            self._lesson = _learned_from(spool, table, split, self._settings, seed)
        return self._lesson


@dataclass(frozen=True, slots=True)
class _RingRung:
    """One shape of the network as a `scorer.ladder.Rung`."""

    of: RingRungs
    name: str
    words: str
    base: str
    convolution: "Convolution"
    remembers: bool = False
    onto: str | None = None

    def fit_scores(self, table: Table, split: Split, seed: int) -> RungScores:
        """Learn from the recording, score the test."""
        from gnn.examples import no_extras  # noqa: PLC0415 - beside torch
        from gnn.model import ModelSettings  # noqa: PLC0415 - imports torch
        from gnn.schema import GraphSchema  # noqa: PLC0415 - beside it
        from gnn.training import TrainingSettings, score, train  # noqa: PLC0415 - imports torch

        lesson, spool = self.of.lesson(table, split, seed), open_spool(self.of.folder)
        columns = (ACCOUNT_COLUMNS, IDENTIFIER_COLUMNS) if self.remembers else ((), ())
        schema = GraphSchema(*columns, CONTEXT)
        extras: Extras = lesson.risk if self.remembers else no_extras
        learned = train(
            spool,
            lesson.examples,
            lesson.early,
            lesson.later,
            schema=schema,
            extras=extras,
            shape=ModelSettings(convolution=self.convolution, onto=self.onto),
            settings=TrainingSettings(epochs=self.of.epochs, patience=PATIENCE),
            seed=seed,
        )
        later, test = (
            score(learned.model, spool, lesson.examples, rows, extras).astype(np.float32)
            for rows in (lesson.later, lesson.test)
        )
        calibration = fit_calibration(later, lesson.examples.fraud[lesson.later])
        return RungScores(
            np.array([calibration.apply(float(margin)) for margin in test]),
            {"epochs": len(learned.history), "best_epoch": learned.best_epoch},
        )


def _learned_from(
    spool: Spool, table: Table, split: Split, settings: BoosterSettings, seed: int
) -> _Lesson:
    """The blend's scores as context; early rows are those that it scored out of fold.

    Of the legitimate early rows the network sees the sample that trees see, weighed like theirs.
    """
    from gnn.examples import Examples  # noqa: PLC0415 - beside torch

    learned = learn_from(table, split, table.schema.columns(graph=True), settings, seed)
    scored = learned.blended(table)
    early = split.early[~np.isnan(learned.past[split.early])]
    require_both("early rows scored out of fold", table.fraud[early])
    chosen, weights = sample_negatives(table.fraud[early], seed)
    parts = [early[chosen], split.later, split.test]
    rows = np.sort(np.concatenate(parts))
    context = np.column_stack(
        [
            *(np.log(scored[rows, k] / (1.0 - scored[rows, k])) for k in (_MODEL, _SCORE)),
            scored[rows, _OWN],
            scored[rows, _OTHERS],
            np.log1p(table.values[rows].astype(np.float64)),
        ]
    ).astype(np.float32)
    counted = np.ones(len(rows), np.float32)
    counted[np.searchsorted(rows, parts[0])] = weights
    early, later, test = (np.searchsorted(rows, part) for part in parts)
    return _Lesson(
        Examples(table.places[rows], table.fraud[rows], counted, context),
        early,
        later,
        test,
        NeighbourRisk.of(spool, table.places, scored[:, _SCORE]),
    )
