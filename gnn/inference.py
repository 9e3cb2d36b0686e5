"""The ring model in service: onnxruntime alone, no torch.

Embeddings are held in columns by the window's ids, one row an account or identifier, refreshed in
the background from a snapshot. A transaction looks up its own five and asks the head; how old the
embeddings are is one of the head's features. Whoever was not embedded, or whose id was given to
somebody else since, is missing, which the head knows from training.

One writer: `refresh` makes new columns and puts them in place at once, so that a reader sees the
old ones or the new ones, never both.
"""

from collections.abc import Sequence
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
from graph.transaction import HOUR

AT_ONCE: Final = 2_048
"""Entities embedded in one run: what bounds the memory of a refresh."""
_ACCOUNTS: Final = 2
"""The first so many parties of a transaction are accounts."""


def session(model: bytes) -> onnxruntime.InferenceSession:
    """A model that runs in the caller's thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Embeddings(NamedTuple):
    """Embeddings as of a moment.

    Attributes:
        as_of: Cut-off of the snapshot they were made from, ms.
        accounts: float32 [A, D] by account id.
        account_generation: int32 [A], whose they are; -1 where there is none.
        identifiers: float32 [I, D] by identifier id.
        identifier_generation: int32 [I].
    """

    as_of: int
    accounts: Floats
    account_generation: Ids
    identifiers: Floats
    identifier_generation: Ids


class RingScorer:
    """Embeds entities in the background and scores transactions at once.

    Args:
        artefact: The model.
    """

    def __init__(self, artefact: RingArtefact) -> None:
        self.schema: Final = artefact.schema
        self.fanout: Final = Fanout(**artefact.fanout)
        self._width = artefact.embedding
        self._encoder = session(artefact.encoder)
        self._head = session(artefact.head)
        none = np.zeros(0, np.int32)
        empty = np.zeros((0, self._width), np.float32)
        self._held = Embeddings(0, empty, none, empty, none)

    @classmethod
    def open(cls, directory: Path, schema: GraphSchema | None = None) -> "RingScorer":
        """The model in a directory.

        Raises:
            Incompatible: See `gnn.artefact.load`.
        """
        return cls(load(directory, schema))

    @property
    def held(self) -> Embeddings:
        """The embeddings as they stand."""
        return self._held

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

    def refresh(
        self,
        snapshot: GraphSnapshot,
        accounts: Floats,
        identifiers: Floats,
        only: tuple[Ids, Ids] | None = None,
    ) -> int:
        """Embed entities of a snapshot, and forget what was held; returns how many there are.

        Args:
            snapshot: Taken with this model's `fanout`.
            accounts: float32 [A, E], the caller's columns by account id.
            identifiers: float32 [I, E], by identifier id.
            only: Ids of accounts and of identifiers to embed; everybody if left out.
        """
        if only is None:
            n, m = len(snapshot.account_kind), len(snapshot.identifier_kind)
            only = np.arange(n, dtype=np.int32), np.arange(m, dtype=np.int32)
        held = Embeddings(
            snapshot.as_of,
            np.zeros((len(snapshot.account_kind), self._width), np.float32),
            np.full(len(snapshot.account_kind), -1, np.int32),
            np.zeros((len(snapshot.identifier_kind), self._width), np.float32),
            np.full(len(snapshot.identifier_kind), -1, np.int32),
        )
        none = np.zeros(0, np.int32)
        chunks = [(ids, none) for ids in _chunks(only[0])] + [(none, i) for i in _chunks(only[1])]
        done = 0
        for chunk in chunks:
            subgraph = snapshot.around(*chunk)
            embedded = self.embed(subgraph, accounts, identifiers)
            start = 0
            for kind in NODE_KINDS:
                ids = subgraph.ids[kind][: subgraph.seeds[kind]]
                of_account = kind in ACCOUNT_KINDS
                rows = held.accounts if of_account else held.identifiers
                rows[ids] = embedded[start : start + len(ids)]
                mine = held.account_generation if of_account else held.identifier_generation
                theirs = (
                    snapshot.account_generation if of_account else snapshot.identifier_generation
                )
                mine[ids] = theirs[ids]
                start += len(ids)
            done += start
        self._held = held
        return done

    def score(
        self,
        parties: Sequence[int],
        generations: Sequence[int],
        now: int,
        context: Floats,
    ) -> float:
        """Log-odds of one transaction.

        Args:
            parties: Window ids of user, other party, device, address and card; -1 = none.
            generations: The generation of each.
            now: Event time of the transaction, ms.
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
        held, width = self._held, self._width
        row = np.zeros((1, len(PARTIES) * width), np.float32)
        there = np.zeros((1, len(PARTIES)), np.float32)
        for place, (id_, generation) in enumerate(zip(parties, generations, strict=True)):
            own = place < _ACCOUNTS
            known = held.account_generation if own else held.identifier_generation
            if 0 <= id_ < len(known) and known[id_] == generation:
                source = held.accounts if own else held.identifiers
                row[0, place * width : (place + 1) * width] = source[id_]
                there[0, place] = 1.0
        age = np.log1p(max(now - held.as_of, 0) / HOUR)
        inputs = {
            "parties": row,
            "there": there,
            "age": np.array([[age]], np.float32),
            "context": context[None, :],
        }
        answer: list[NDArray[np.float32]] = self._head.run(None, inputs)
        return float(answer[0][0])


def _chunks(ids: Ids) -> list[Ids]:
    return [ids[i : i + AT_ONCE] for i in range(0, len(ids), AT_ONCE)]
