"""The graph beside a replay: what the background encoder would have seen, had it run then.

A replayer is wrapped in one that at a cadence of event time takes a snapshot of the window, lets
the transactions of the next stretch pass, and writes to disk the neighbourhoods of those who took
part in them, as they were at the snapshot. So an example holds nothing later than its tick, and the
replay is what it would have been without a recorder.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gnn.sampling import Fanout
from gnn.schema import CARD, DEVICE, IP, MERCHANT, USER
from gnn.snapshots import GraphSnapshot, earliest_cutoff
from gnn.spool import SpoolWriter, TickRows
from gnn.tensors import nothing
from graph.errors import InvalidSetting
from graph.kernels import KIND_MERCHANT, NONE
from graph.profiles import Profiles
from graph.ring_policy import RingPolicy
from graph.transaction import HOUR, EntityKind, Label, Transaction
from graph.window import TransactionWindow

S_co = TypeVar("S_co", covariant=True)
R_co = TypeVar("R_co", bound="Seen", covariant=True)
_IDENTIFIERS: Final = (EntityKind.DEVICE, EntityKind.IP, EntityKind.CARD)


class Seen(Protocol):
    """What a replayer gives for a transaction."""

    @property
    def accepted(self) -> bool:
        """Whether it entered the window."""
        ...


class Recordable(Protocol[S_co, R_co]):
    """A replayer: `scorer.ports.Replayer`, whose types this folder does not know."""

    @property
    def schema(self) -> S_co:
        """The columns of a feature row."""
        ...

    @property
    def ring_policy(self) -> RingPolicy:
        """When it takes evidence for a ring."""
        ...

    def observe_features(
        self, transactions: Sequence[Transaction], out: NDArray[np.float32]
    ) -> Sequence[R_co]:
        """Take transactions in and fill their feature rows."""
        ...

    def learn(self, label: Label) -> None:
        """Hand over a label, to be used after its time."""
        ...


class Recorder(Generic[S_co, R_co]):
    """A replayer that also records the graph.

    Args:
        inner: A fresh replayer.
        window: Its window.
        profiles: The profiles of the accounts of that window.
        writer: Where ticks go.
        every: Event time between two snapshots, ms.
        keep: Whether the transaction of an id becomes an example; the others still run, and are in
            the graph.
        fanout: How many neighbours a node hears.

    Raises:
        InvalidSetting: `every` is not positive.
    """

    def __init__(
        self,
        inner: Recordable[S_co, R_co],
        window: TransactionWindow,
        profiles: Profiles,
        writer: SpoolWriter,
        *,
        every: int = HOUR,
        keep: Callable[[str], bool] = lambda _: True,
        fanout: Fanout = Fanout(),
    ) -> None:
        if every < 1:
            raise InvalidSetting(
                "has to be positive", field="every", value=str(every), remedy="Use an hour."
            )
        self._inner = inner
        self._window = window
        self._profiles = profiles
        self._writer = writer
        self._every = every
        self._keep = keep
        self._fanout = fanout
        self._next: int | None = None
        self._snapshot: GraphSnapshot | None = None
        self._place = 0
        self._rows: list[tuple[int, int, bool]] = []
        self._parties: list[list[int]] = []
        self._generations: list[list[int]] = []

    @property
    def schema(self) -> S_co:
        """See `scorer.ports.Replayer.schema`."""
        return self._inner.schema

    @property
    def ring_policy(self) -> RingPolicy:
        """See `scorer.ports.Replayer.ring_policy`."""
        return self._inner.ring_policy

    def observe_features(
        self, transactions: Sequence[Transaction], out: NDArray[np.float32]
    ) -> list[R_co]:
        """See `scorer.ports.Replayer.observe_features`; a snapshot comes before its transaction."""
        seen: list[R_co] = []
        start = 0
        for place, transaction in enumerate(transactions):
            if self._next is None or transaction.timestamp >= self._next:
                seen += self._forward(transactions[start:place], out[start:place])
                start = place
                if self._is_plausible(transaction.timestamp):
                    self._tick(transaction.timestamp)
        return seen + self._forward(transactions[start:], out[start:])

    def learn(self, label: Label) -> None:
        """See `scorer.ports.Replayer.learn`."""
        self._inner.learn(label)

    def finish(self) -> None:
        """Write what came since the last snapshot, and say that the recording is whole."""
        self._write()
        self._writer.finish(self._every)

    def _is_plausible(self, time: int) -> bool:
        """Whether a snapshot may go by this clock: not if it runs ahead of all others by a day.

        After a silence as long as that, the watermark has to follow before there is a snapshot.
        """
        mark = self._window.watermark
        return mark == 0 or time <= mark + self._window.config.horizon

    def _tick(self, time: int) -> None:
        self._write()
        moment = time // self._every * self._every
        self._next = moment + self._every
        # A clock that runs ahead may have brought something later: then this moment is after it.
        moment = max(moment, earliest_cutoff(self._window))
        self._snapshot = GraphSnapshot.take(
            self._window, self._profiles.columns(self._window), moment, self._fanout
        )

    def _forward(self, transactions: Sequence[Transaction], out: NDArray[np.float32]) -> list[R_co]:
        found = list(self._inner.observe_features(transactions, out))
        for transaction, seen in zip(transactions, found, strict=True):
            if seen.accepted:
                self._note(transaction)
            self._place += 1
        return found

    def _note(self, tx: Transaction) -> None:
        accounts, identifiers = self._window.accounts, self._window.identifiers
        other = tx.other_party
        ids = [
            accounts.find(EntityKind.USER, tx.user_id),
            NONE if other is None else accounts.find(other.kind, other.id),
        ]
        keys = (tx.device_id, tx.ip_address, tx.card_id)
        ids += [
            NONE if key is None else identifiers.find(kind, key)
            for kind, key in zip(_IDENTIFIERS, keys, strict=True)
        ]
        spaces = (accounts, accounts, identifiers, identifiers, identifiers)
        self._rows.append((self._place, tx.timestamp, self._keep(tx.transaction_id)))
        self._parties.append(ids)
        self._generations.append(
            [int(s.generation[i]) if i >= 0 else 0 for s, i in zip(spaces, ids, strict=True)]
        )

    def _write(self) -> None:
        if not self._rows or self._snapshot is None:
            return
        said: NDArray[Any] = np.array(self._rows, np.int64)
        rows = TickRows(
            said[:, 0],
            said[:, 1],
            np.array(self._parties, np.int32),
            np.array(self._generations, np.int32),
            said[:, 2] != 0,
        )
        self._rows, self._parties, self._generations = [], [], []
        parties, generations = rows.parties[rows.kept], rows.generations[rows.kept]
        snapshot = self._snapshot
        there = np.empty(parties.shape, np.bool_)
        there[:, :2] = snapshot.known(parties[:, :2], generations[:, :2], accounts=True)
        there[:, 2:] = snapshot.known(parties[:, 2:], generations[:, 2:], accounts=False)
        members = np.full(parties.shape, -1, np.int32)
        if not there.any():
            self._writer.add(rows, nothing(snapshot.as_of), members)
            return
        subgraph = snapshot.around(parties[:, :2][there[:, :2]], parties[:, 2:][there[:, 2:]])
        for column, kind in enumerate((USER, USER, DEVICE, IP, CARD)):
            members[:, column] = subgraph.seed_numbers(kind, parties[:, column])
        shops = there[:, 1].copy()
        shops[shops] = snapshot.account_kind[parties[:, 1][shops]] == KIND_MERCHANT
        members[shops, 1] = subgraph.seed_numbers(MERCHANT, parties[shops, 1])
        members[~there] = -1
        self._writer.add(rows, subgraph, members)
