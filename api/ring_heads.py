"""Teaching a ring head from a replayed history: `scorer`'s rings, `gnn`'s network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gnn.ring_columns import columns_of
from gnn.ring_graph import ring_graph
from graph.ring_policy import RingPolicy
from scorer.judge_training import Taught, teach
from scorer.metrics import average_precision
from scorer.ring_lessons import RingLessons, ring_lessons
from scorer.ring_pass import weighed
from scorer.table import Rows, Table

LATER_SHARE: Final = 0.25
LEAST_RINGS: Final = 10
"""True rings, and false ones, in each slice below which there is nothing to learn from."""


def train_ring_head(
    table: Table,
    past: Rows,
    policy: RingPolicy,
    out: Path,
    *,
    seed: int = 0,
    taught: Taught | None = None,
) -> dict[str, Any]:
    """Learn a ring head from the past of a replayed history and write it, if it pays.

    It pays if it ranks the rings of the later slice better than their own score does. That slice
    also stopped the learning, so its figures flatter a little. Needs the extra `train`.

    Args:
        table: Of a replay without a judge.
        past: Rows whose labels may be learned from.
        policy: For rings, without a judge.
        out: Folder for the artefact, `HEAD` within that of the model to be served with it;
            if it does not pay, nothing is written there and what was there stays.
        seed: Of everything random.
        taught: The judge of this past (`scorer.judge_training.teach`); taught anew if left out.

    Returns:
        Plain values: `kept`, `rings`, `true`, and of the later slice `later_rings`, `later_true`
        and the average precision of `head` and of the rings' `own_score`; where there were too few
        rings, only `kept` and the counts.
    """
    taught = taught or teach(table, past, policy, seed)
    evidence = weighed(table.evidence, taught.weights)
    lessons = ring_lessons(table, past, evidence, taught.judge.rings(policy))
    early, later = lessons.cut(LATER_SHARE)
    judged = later[lessons.last[later]]
    figures: dict[str, Any] = {
        "kept": False,
        "rings": int(lessons.last.sum()),
        "true": int(lessons.fraud[lessons.last].sum()),
        "later_rings": len(judged),
        "later_true": int(lessons.fraud[judged].sum()),
    }
    if min(_rings_of_each(lessons, early), _rings_of_each(lessons, later)) < LEAST_RINGS:
        return figures
    return figures | _learned(lessons, early, later, out, seed)


def _learned(
    lessons: RingLessons, early: Rows, later: Rows, out: Path, seed: int
) -> dict[str, Any]:
    from gnn.ring_export import export_head  # noqa: PLC0415 - imports torch
    from gnn.ring_training import (  # noqa: PLC0415 - imports torch
        RingExamples,
        score_rings,
        train_head,
    )

    columns = [columns_of(ring_graph(*each)) for each in lessons.revisions]
    examples = RingExamples(columns, lessons.fraud, lessons.rings)
    learned = train_head(examples, early, later, seed=seed)
    judged = later[lessons.last[later]]
    fraud, own = lessons.fraud[judged], own_scores(lessons, judged)
    found = score_rings(learned.head, [columns[n] for n in judged.tolist()])
    figures = {
        "best_epoch": learned.best_epoch,
        "head": average_precision(found, fraud),
        "own_score": average_precision(own, fraud),
    }
    if figures["head"] <= figures["own_score"]:
        return figures
    export_head(learned.head, {"seed": seed, "later_slice": figures}).save(out)
    return figures | {"kept": True}


def own_scores(lessons: RingLessons, rows: Rows) -> NDArray[np.float64]:
    """The engine's own score of some revisions."""
    return np.array([lessons.revisions[n].ring.score for n in rows.tolist()], np.float64)


def _rings_of_each(lessons: RingLessons, rows: Rows) -> int:
    """Rings of the kind, true or false in the end, of which there are fewer."""
    fraud: Sequence[bool] = lessons.fraud[rows[lessons.last[rows]]].tolist()
    return min(fraud.count(True), fraud.count(False))
