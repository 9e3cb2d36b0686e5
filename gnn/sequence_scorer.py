"""The sequence model in service: onnxruntime alone, no torch, one thread.

It keeps the newest events of every account by the window's ids (`gnn.event_sequences`), and scores
a transaction from them. No verdict uses it, so no snapshot carries what it keeps.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gnn.event_sequences import (
    STEPS,
    WIDTH,
    Events,
    EventState,
    empty_state,
    recall,
    remember,
    schema_hash,
)
from gnn.inference import session
from gnn.tensors import Floats
from graph.errors import Incompatible, InvalidInput

INPUTS: Final = ("steps", "context")
OUTPUTS: Final = ("logit",)
SCHEMA: Final = "ringfence.sequence"
"""Under which the model's file says the hash of the columns it was trained on."""


class SequenceScorer:
    """Scores transactions by their users' last events.

    Args:
        model: What `gnn.sequence_export.export_sequence` gave.
        context: Names of the columns of a transaction, in order.
        accounts: Most accounts; their events take 940 bytes each.

    Raises:
        Incompatible: The model was trained on other columns.
    """

    def __init__(self, model: bytes, context: tuple[str, ...], accounts: int) -> None:
        self._session = session(model)
        said = self._session.get_modelmeta().custom_metadata_map.get(SCHEMA)
        if said != schema_hash(context):
            raise Incompatible(
                "it was trained on other columns",
                field="sequence model",
                value=str(said),
                remedy="Give the columns it was trained on, in order, or train it again.",
            )
        self._columns = len(context)
        self._steps = np.zeros((STEPS, WIDTH), np.float32)
        self.state: EventState = empty_state(accounts)

    def score(self, event: Events, context: Floats) -> float:
        """Log-odds of one transaction; it is not remembered yet.

        Args:
            event: Columns of one row.
            context: float32 [C].

        Raises:
            InvalidInput: The context has other columns.
        """
        recall(self.state, event, 0, self._steps)
        return float(self.score_rows(self._steps[None].astype(np.float16), context[None])[0])

    def remember(self, event: Events, log_odds: float) -> None:
        """Keep a transaction that was scored, at its user and its other party.

        Args:
            event: Columns of one row.
            log_odds: What the blend said of it; NaN where nothing was said.
        """
        remember(self.state, event, 0, log_odds)

    def score_rows(self, steps: NDArray[np.float16], context: Floats) -> Floats:
        """Log-odds of some transactions, float32 [R].

        Args:
            steps: float16 [R, STEPS, WIDTH].
            context: float32 [R, C].

        Raises:
            InvalidInput: The context has other columns.
        """
        if context.shape != (len(steps), self._columns):
            raise InvalidInput(
                f"expected {self._columns} columns and {len(steps)} rows",
                field="context",
                value=str(context.shape),
                remedy="Give the columns the model was trained on.",
            )
        if not len(steps):  # onnxruntime's recurrent unit ends the process where there are none
            return np.zeros(0, np.float32)
        inputs = {"steps": steps.astype(np.float32), "context": context}
        found: Floats = self._session.run(list(OUTPUTS), inputs)[0]
        return found
