"""The ring model on the ladder: what a graph network adds to the blend, and what its edges do.

The head hears what the blend says of a transaction (`api.ring_lesson`) and the embeddings of its
parties as of the last hourly snapshot. So that a gain of the edges can be told from that of one
more layer on the same scores, there are the head alone, nodes without edges, and the two usual
convolutions, all learned the same way from the same rows; and ours once more with its edges
shuffled. One is added to the blend's log-odds and learns what to correct: with few frauds the
others forget what the blend knew. Two have the risk memories of the same scores at every node
(`api.neighbour_risk`), with and without edges.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from api.neighbour_risk import ACCOUNT_COLUMNS, IDENTIFIER_COLUMNS, NeighbourRisk
from api.ring_lesson import Lesson, lesson_of
from gnn.recording import Recorder
from gnn.spool import SpoolWriter, open_spool
from scorer.detector import Detector
from scorer.fitting import BoosterSettings, fit_calibration
from scorer.graph_opinion import CONTEXT
from scorer.ladder import Rung, RungScores
from scorer.learning import learn_whole
from scorer.ports import Replayer
from scorer.splits import Split
from scorer.starter import starter_trees
from scorer.table import Table

if TYPE_CHECKING:  # it imports torch, which only a ladder that runs has to wait for
    from gnn.examples import Extras
    from gnn.model import Convolution

BLEND: Final = CONTEXT[1]
"""What a network that corrects the blend starts from."""
EPOCHS: Final = 12
PATIENCE: Final = 3


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
        self._lesson: Lesson | None = None
        self._risk: NeighbourRisk | None = None

    def rungs(self) -> tuple[Rung, ...]:
        """The head, nodes, GCN, GraphSAGE, ours, ours onto the blend, shuffled, with memories."""
        head, nodes, onto = "head_alone", "nodes_with_risk", "gnn_onto_blend"
        shapes: tuple[tuple[str, str, str, Convolution], ...] = (
            (head, "a head on the blend's own scores", "blend", "none"),
            ("nodes_alone", "the head with entities but no edges", head, "alone"),
            ("gcn", "the head with a GCN", head, "gcn"),
            ("sage", "the head with GraphSAGE", head, "sage"),
            ("gnn", "the head with the graph neural network", head, "relational"),
        )
        remembering: tuple[tuple[str, str, str, Convolution], ...] = (
            (nodes, "the head with entities and their risk memories, no edges", head, "alone"),
            ("gnn_with_risk", "the graph neural network with risk memories", nodes, "relational"),
        )
        return (
            *(_RingRung(self, *shape) for shape in shapes),
            _RingRung(
                self,
                "gnn_shuffled",
                "the head with that network, its edges shuffled",
                head,
                "relational",
                shuffles="gnn",
            ),
            _RingRung(
                self,
                onto,
                "the blend corrected by the graph neural network",
                "blend",
                "relational",
                onto=BLEND,
            ),
            _RingRung(
                self,
                "gnn_onto_shuffled",
                "the blend corrected by that network, its edges shuffled",
                "blend",
                "relational",
                onto=BLEND,
                shuffles=onto,
            ),
            *(_RingRung(self, *shape, remembers=True) for shape in remembering),
        )

    def lesson(self, table: Table, split: Split, seed: int) -> Lesson:
        """What all rungs learn from; made once."""
        if self._lesson is None:
            self._recorder.finish()
            trees = starter_trees(table.schema)
            learned = learn_whole(table, split, self._settings, seed, trees).served
            self._lesson = lesson_of(table, split, learned, seed)
        return self._lesson

    def risk(self, table: Table, lesson: Lesson) -> NeighbourRisk:
        """What the nodes of the recording remember of the blend's scores; made once."""
        if self._risk is None:
            self._risk = NeighbourRisk.of(open_spool(self.folder), table.places, lesson.blend)
        return self._risk


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
    shuffles: str | None = None

    def fit_scores(self, table: Table, split: Split, seed: int) -> RungScores:
        """Learn from the recording, score the test."""
        from gnn.examples import no_extras  # noqa: PLC0415 - beside torch
        from gnn.model import ModelSettings  # noqa: PLC0415 - imports torch
        from gnn.schema import GraphSchema  # noqa: PLC0415 - beside it
        from gnn.shuffled_edges import ShuffledSpool, moved_share  # noqa: PLC0415 - beside it
        from gnn.training import TrainingSettings, score, train  # noqa: PLC0415 - imports torch

        lesson, spool = self.of.lesson(table, split, seed), open_spool(self.of.folder)
        columns = (ACCOUNT_COLUMNS, IDENTIFIER_COLUMNS) if self.remembers else ((), ())
        schema = GraphSchema(*columns, CONTEXT)
        extras: Extras = self.of.risk(table, lesson) if self.remembers else no_extras
        found: dict[str, float] = {}
        if self.shuffles is not None:
            spool = ShuffledSpool.of(spool, seed)
            found["edges_moved"] = moved_share(spool)
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
            {"epochs": len(learned.history), "best_epoch": learned.best_epoch, **found},
            shuffles=self.shuffles,
        )
