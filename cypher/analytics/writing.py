"""Results into the stored graph: two sets of properties, and one node that says which is shown.

Every entity has room for two runs, `deep_a_...` and `deep_b_...`. A run fills the set that is not
shown, in batches, each entity with the run's id. Then one small write to the node
`(:DeepAnalysis {id: 'current'})` shows it. A crash before that leaves the shown set as it was; an
entity whose `deep_?_run` is not the shown run's id was not in it (no clearing is needed).

A run first claims the node. If another run claims it meanwhile, the first one's batches match
nothing and its switch fails: the newest run wins, and no mixture is ever shown.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from cypher.analytics.ports import COLUMNS, Analysis, AnalysisFailed, CurrentRun
from cypher.known import LABELS, Row, Statement
from graph.errors import InvalidInput

WITNESSES: Final = 3
"""Transactions that must agree how late it is, as of the watermark (`graph.watermark`)."""

BATCH: Final = 2_000
"""Entities a write: the sink's batches go through between two of them."""

CURRENT: Final = (
    "MATCH (d:DeepAnalysis {id: 'current'}) RETURN d.run_id AS run_id, d.as_of AS as_of, "
    "d.slot AS slot, d.claim AS claim"
)


def no_transactions(as_of: int | None) -> InvalidInput:
    """There is nothing to analyse."""
    return InvalidInput(
        "the graph holds no transaction to analyse",
        field="as_of",
        value=None if as_of is None else str(as_of),
        remedy="Let the sink write some first, or name a later moment.",
    )


def current_run(rows: Sequence[Row]) -> CurrentRun | None:
    """The answer to `CURRENT`."""
    for row in rows:
        match row:
            case {"run_id": str(run_id), "as_of": int(as_of), "slot": str(slot)}:
                return CurrentRun(run_id, as_of, slot)
    return None


def claim(token: str) -> Statement:
    """The right to write, until somebody else claims it."""
    return Statement(
        "UNWIND $rows AS row MERGE (d:DeepAnalysis {id: 'current'}) SET d.claim = row.claim",
        [{"claim": token}],
    )


def rows(analysis: Analysis, slot: str, token: str) -> Iterator[Statement]:
    """The results as writes of one label and at most `BATCH` entities each."""
    by_label: dict[str, list[Row]] = {}
    for entity, values, vector in zip(
        analysis.entities, analysis.values, analysis.vectors, strict=True
    ):
        told: Row = {
            name: None if np.isnan(value) else float(value)
            for name, value in zip(COLUMNS, values, strict=True)
        }
        by_label.setdefault(LABELS[entity.kind], []).append(
            told | {"id": entity.id, "vector": vector.tolist()}
        )
    names = ", ".join(f"n.deep_{slot}_{name} = row.{name}" for name in (*COLUMNS, "vector"))
    for label, found in by_label.items():
        text = (
            "UNWIND $rows AS batch MATCH (d:DeepAnalysis {id: 'current'}) "
            f"WHERE d.claim = batch.claim UNWIND batch.rows AS row MATCH (n:{label} {{id: row.id}})"
            f" SET n.deep_{slot}_run = batch.run, {names}"
        )
        for start in range(0, len(found), BATCH):
            batch = found[start : start + BATCH]
            yield Statement(text, [{"claim": token, "run": analysis.run_id, "rows": batch}])


def switch(analysis: Analysis, slot: str, token: str) -> Statement:
    """Show the run: the one write that readers notice."""
    return Statement(
        "UNWIND $rows AS row MATCH (d:DeepAnalysis {id: 'current'}) WHERE d.claim = row.claim "
        "SET d.run_id = row.run_id, d.as_of = row.as_of, d.slot = row.slot, "
        "d.entities = row.entities, d.seeds = row.seeds, d.modularity = row.modularity",
        [
            {
                "claim": token,
                "run_id": analysis.run_id,
                "as_of": analysis.as_of,
                "slot": slot,
                "entities": len(analysis.entities),
                "seeds": analysis.seeds,
                "modularity": analysis.modularity,
            }
        ],
    )


def write(
    analysis: Analysis,
    run: Callable[[Statement], None],
    shown: Callable[[], CurrentRun | None],
) -> CurrentRun:
    """Write the results beside the shown ones, then show them.

    Args:
        analysis: The run.
        run: Runs one statement, durably.
        shown: The run that is shown.

    Raises:
        AnalysisFailed: Another run claimed the graph meanwhile; its results will be shown.
    """
    before = shown()
    slot = "b" if before is not None and before.slot == "a" else "a"
    token = uuid.uuid4().hex
    run(claim(token))
    for statement in rows(analysis, slot, token):
        run(statement)
    run(switch(analysis, slot, token))
    after = CurrentRun(analysis.run_id, analysis.as_of, slot)
    if shown() != after:
        raise AnalysisFailed(
            "another analysis took over while this one was writing",
            field="run_id",
            value=analysis.run_id,
            remedy="Run one at a time.",
        )
    return after
