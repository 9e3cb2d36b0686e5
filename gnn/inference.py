"""The ring model in service: onnxruntime alone, no torch.

The encoder embeds entities of a snapshot, in the background; what it says is held by the detector,
in columns by the window's ids. The head answers for one transaction from the embeddings of its own
five parties. Whoever was not embedded is missing, which the head knows from training.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gnn.artefact import RingArtefact, load
from gnn.sampling import Fanout
from gnn.schema import ACCOUNT_KINDS, NODE_KINDS, PARTIES, GraphSchema
from gnn.snapshots import GraphSnapshot, Ids
from gnn.tensors import Floats, Subgraph, feed, widened
from graph.errors import InvalidInput

AT_ONCE: Final = 512
"""Entities embedded in one run: what bounds memory, and how long a run keeps a core."""


def session(model: bytes) -> onnxruntime.InferenceSession:
    """A model that runs in the caller's thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Embedding(NamedTuple):
    """Some entities, embedded.

    Attributes:
        ids: int32 [N], of accounts or of identifiers.
        accounts: Which of the two.
        rows: float32 [N, D].
    """

    ids: Ids
    accounts: bool
    rows: Floats


class RingScorer:
    """Embeds entities in the background and scores transactions at once.

    Args:
        artefact: The model.
    """

    def __init__(self, artefact: RingArtefact) -> None:
        self.schema: Final = artefact.schema
        self.fanout: Final = Fanout(**artefact.fanout)
        self.width: Final = artefact.embedding
        self.version: Final = artefact.version
        self._encoder = session(artefact.encoder)
        self._head = session(artefact.head)

    @classmethod
    def open(cls, directory: Path, schema: GraphSchema | None = None) -> "RingScorer":
        """The model in a directory.

        Raises:
            Incompatible: See `gnn.artefact.load`.
        """
        return cls(load(directory, schema))

    def embed(self, subgraph: Subgraph, accounts: Floats, identifiers: Floats) -> Floats:
        """Embeddings of the seeds of a subgraph.

        Args:
            subgraph: S seeds.
            accounts: float32 [A, E], the caller's columns by account id.
            identifiers: float32 [I, E], by identifier id.

        Shape: float32 [S, D], kind after kind.
        """
        inputs = feed(subgraph, widened(subgraph, self.schema, accounts, identifiers))
        found: list[NDArray[Any]] = self._encoder.run([f"h_{kind}" for kind in NODE_KINDS], inputs)
        return np.concatenate(
            [rows[: subgraph.seeds[kind]] for kind, rows in zip(NODE_KINDS, found, strict=True)]
        )

    def embedded(
        self,
        snapshot: GraphSnapshot,
        accounts: Floats,
        identifiers: Floats,
        only: tuple[Ids, Ids],
    ) -> Iterator[Embedding]:
        """Embed entities of a snapshot, run after run.

        Args:
            snapshot: Taken with this model's `fanout`.
            accounts: float32 [A, E], the caller's columns by account id.
            identifiers: float32 [I, E], by identifier id.
            only: Ids of the accounts and of the identifiers to embed.
        """
        none = np.zeros(0, np.int32)
        chunks = [(ids, none) for ids in _chunks(only[0])] + [(none, i) for i in _chunks(only[1])]
        for chunk in chunks:
            subgraph = snapshot.around(*chunk)
            rows, start = self.embed(subgraph, accounts, identifiers), 0
            for kind in NODE_KINDS:
                size = subgraph.seeds[kind]
                if size:
                    ids = subgraph.ids[kind][:size]
                    yield Embedding(ids, kind in ACCOUNT_KINDS, rows[start : start + size])
                start += size

    def log_odds(self, parties: Floats, there: Floats, age: float, context: Floats) -> float:
        """Log-odds of one transaction.

        Args:
            parties: float32 [5 * D], embeddings of user, other party, device, address and card,
                zeros where there is none.
            there: float32 [5], 1 where there is one.
            age: log(1 + hours) since their cut-off.
            context: float32 [C], its own columns as the schema names them, NaN for the unknown.

        Raises:
            InvalidInput: There are not as many columns as the schema names.
        """
        if context.shape != (len(self.schema.context),):
            raise InvalidInput(
                f"expected {len(self.schema.context)} columns",
                field="context",
                value=str(context.shape),
                remedy="Give the columns the schema names, in order.",
            )
        inputs = {
            "parties": parties.reshape(1, len(PARTIES) * self.width),
            "there": there.reshape(1, len(PARTIES)),
            "age": np.array([[age]], np.float32),
            "context": context[None, :],
        }
        answer: list[NDArray[np.float32]] = self._head.run(None, inputs)
        return float(answer[0][0])


def _chunks(ids: Ids) -> list[Ids]:
    return [ids[i : i + AT_ONCE] for i in range(0, len(ids), AT_ONCE)]
