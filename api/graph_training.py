"""Learning a graph model beside the tabular one: `ringfence train --gnn`.

The replay that training needs anyway is recorded, as far as the network will read it
(`api.recorded_rows`). The network learns to correct what the blend said out of fold from the
recorded neighbourhoods, is stopped on the first half of the later slice and tried on the second
(`scorer.graph_weights`). It is written beside the model only if it earns its place there. A head
that scores whole rings is learned from the same history and kept by a rule of its own
(`api.ring_heads`).
"""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from api.graph_model import FOLDER, HEAD, SCHEMA
from api.recorded_rows import RecordedRows
from api.ring_heads import train_ring_head
from api.ring_lesson import Lesson, lesson_of
from api.ring_rungs import BLEND, EPOCHS, PATIENCE
from gnn.artefact import RingArtefact
from gnn.export import export
from gnn.model import ModelSettings
from gnn.recording import Recorder
from gnn.ring_artefact import load_head
from gnn.spool import Spool, SpoolWriter, open_spool
from gnn.training import Learned, TrainingSettings, score, train
from graph.errors import Incompatible
from scorer.artefact import TrainedModel
from scorer.detector import Detector
from scorer.graph_opinion import GraphStack
from scorer.graph_weights import try_graph_model
from scorer.history_replay import Progress, silent
from scorer.ports import Replayer
from scorer.splits import Split
from scorer.training import Trained

_EPOCHS: Final = "epochs"
_LOG: Final = logging.getLogger(__name__)


class GraphTraining:
    """Records a replay, then learns from it.

    Args:
        replayer: Replays.
        detector: The detector in it.
        workshop: For the recording and for each epoch; after a kill the same call goes on there.
            `save` removes it.
        rows: Which transactions are recorded; their `seen` history is what is to be replayed.
        epochs: Most epochs.
        progress: Told "gnn" and how many ticks are done.

    Attributes:
        replayer: What the history is to be replayed with.
        figures: What came of it, plain JSON values.
    """

    def __init__(
        self,
        replayer: Replayer,
        detector: Detector,
        workshop: Path,
        rows: RecordedRows,
        *,
        epochs: int = EPOCHS,
        progress: Progress = silent,
    ) -> None:
        self.figures: dict[str, Any] = {}
        self._workshop = workshop
        self._rows = rows
        self._epochs = epochs
        self._progress = progress
        profiles, writer = detector.heuristics.profiles, SpoolWriter(workshop)
        self._recorder = Recorder(replayer, detector.window, profiles, writer, keep=rows.holds)
        self.replayer: Final[Replayer] = self._recorder
        self._artefact: RingArtefact | None = None
        self._policy = replayer.ring_policy

    def __call__(self, trained: Trained) -> TrainedModel:
        """The model with the graph model's weights where it earned its place, else as it was."""
        self._recorder.finish()
        table, seed = trained.table, trained.model.seed
        later = trained.split.later
        later = later[self._rows.whole(table.places[later])]
        half = len(later) // 2
        stopping, newest = later[:half], later[half:]
        spool = open_spool(self._workshop)
        split = Split(trained.split.early, stopping, newest)
        lesson = lesson_of(table, split, trained.learned, seed, self._rows.fair(table.places))
        try:
            learned = self._learned(spool, lesson, seed)
        except Incompatible:
            # Of a run on other data, or of an engine that has changed since.
            _LOG.warning("epochs of another run lay in %s: begun anew", self._workshop)
            shutil.rmtree(self._workshop / _EPOCHS)
            learned = self._learned(spool, lesson, seed)
        head = np.full(len(table.fraud), np.nan)
        for rows, chosen in ((stopping, lesson.later), (newest, lesson.test)):
            head[rows] = score(learned.model, spool, lesson.examples, chosen)
        read = {
            "share_recorded": self._rows.share,
            "learned_from": len(lesson.early),
            "standing_for": round(float(lesson.examples.weights[lesson.early].sum())),
            "stopped_by": len(stopping),
            "tried_on": len(newest),
        }
        about = {"seed": seed, "epochs": len(learned.history), "best_epoch": learned.best_epoch}
        trial = try_graph_model(table, stopping, newest, lesson.blend, head, seed)
        stack = None
        if trial.weights is not None:
            self._artefact = export(learned.model, about=about)
            stack = GraphStack(self._artefact.version, *trial.weights)
        rings = train_ring_head(
            trained.replayed,
            np.arange(len(table.fraud), dtype=np.intp),
            self._policy,
            self._workshop / HEAD,
            seed=seed,
            taught=trained.taught,
        )
        self.figures = about | trial.figures | {"rows": read, "ring_head": rings}
        return replace(
            trained.model,
            gnn=stack,
            metrics={**trained.model.metrics, "gnn": self.figures},
        )

    def _learned(self, spool: Spool, lesson: Lesson, seed: int) -> Learned:
        return train(
            spool,
            lesson.examples,
            lesson.early,
            lesson.later,
            schema=SCHEMA,
            shape=ModelSettings(onto=BLEND),
            settings=TrainingSettings(epochs=self._epochs, patience=PATIENCE),
            seed=seed,
            folder=self._workshop / _EPOCHS,
            told=self._progress,
        )

    def save(self, out: Path) -> None:
        """Write what earned its place into the folder of a model that has none, and tidy up.

        Raises:
            InvalidSetting: The folder cannot be written.
        """
        if self._artefact is not None:
            self._artefact.save(out / FOLDER)
        if (self._workshop / HEAD).exists():
            load_head(self._workshop / HEAD).save(out / HEAD)
        shutil.rmtree(self._workshop, ignore_errors=True)
