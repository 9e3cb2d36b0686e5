"""The typed graph of a window as of a moment, and the neighbourhoods that are cut out of it.

A snapshot copies what it needs, so it stays what it was while the window goes on. Nothing in it is
later than its cut-off: a payment at or after the cut-off is refused in training (`as_of` given), as
it would let the future into an example. In service (`as_of` left out) the cut-off is the window's
watermark, and what came a little before its turn counts as just now.

Cost: O(n log n) for n live payments, links and entities; 24 bytes a payment, 28 a link, 300 an
account and 80 an identifier.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gnn import node_features
from gnn.sampling import Fanout, Links, Neighbours, Payments, neighbours
from gnn.schema import (
    ACCOUNT_KINDS,
    CARD,
    DEVICE,
    EDGE_KINDS,
    IP,
    MERCHANT,
    NODE_FEATURES,
    NODE_KINDS,
    PAYS,
    RELATIONS,
    REVERSE,
    USER,
    EdgeKind,
)
from gnn.tensors import Edges, Subgraph
from graph.errors import InvalidInput
from graph.kernels import KIND_CARD, KIND_DEVICE, KIND_IP, KIND_MERCHANT, KIND_USER
from graph.profiles import ProfileColumns
from graph.window import TransactionWindow

Ids = NDArray[np.int32]
_CODES: Final = {
    USER: KIND_USER,
    DEVICE: KIND_DEVICE,
    IP: KIND_IP,
    CARD: KIND_CARD,
    MERCHANT: KIND_MERCHANT,
}


_ACCOUNT: Final = "account"
_IDENTIFIER: Final = "identifier"
_SPEAKING: Final = {
    name: tuple(dict.fromkeys(kind[0] for kind in EDGE_KINDS if kind[1] == name))
    for name in RELATIONS
}
_LISTENING: Final = {
    name: tuple(dict.fromkeys(kind[2] for kind in EDGE_KINDS if kind[1] == name))
    for name in RELATIONS
}


class _Spoken(NamedTuple):
    """Edges of one relation: who speaks, who listens, and in which row it stands."""

    speaker: Ids
    listener: Ids
    row: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class GraphSnapshot:
    """The graph of a window as of a moment.

    Attributes:
        as_of: The cut-off, ms: everything in it is earlier.
        account_kind: uint8 [A], kind by account id.
        identifier_kind: uint8 [I], kind by identifier id.
        account_generation: int32 [A]; an account whose id was given out anew since is a stranger.
        identifier_generation: int32 [I].
        features: float16 [A or I, F] by kind of node: rows by window id.
        tables: The newest neighbours, by relation.
        payment_features: float16 [n, 5], by row of payments.
        link_features: float16 [m, 3], by row of links.
    """

    as_of: int
    account_kind: NDArray[np.uint8]
    identifier_kind: NDArray[np.uint8]
    account_generation: Ids
    identifier_generation: Ids
    features: dict[str, NDArray[np.float16]]
    tables: dict[str, Neighbours]
    payment_features: NDArray[np.float16]
    link_features: NDArray[np.float16]

    @classmethod
    def take(
        cls,
        window: TransactionWindow,
        profiles: ProfileColumns,
        as_of: int | None = None,
        fanout: Fanout = Fanout(),
    ) -> Self:
        """The graph as it stands.

        Args:
            window: The window, or a copy of it.
            profiles: Those of its accounts.
            as_of: The cut-off, ms; the watermark if left out.
            fanout: How many neighbours are kept.

        Raises:
            InvalidInput: The window holds a transaction at or after `as_of`.
        """
        strict, moment = as_of is not None, window.watermark if as_of is None else as_of
        payments, links = _columns(window, moment)
        if strict and earliest_cutoff(window) > moment:
            raise InvalidInput(
                "the window holds a transaction that is not earlier",
                field="as_of",
                value=str(moment),
                remedy="Take the snapshot before the first transaction of its moment is observed.",
            )
        accounts, identifiers = window.accounts, window.identifiers
        n, m = accounts.size, identifiers.size
        account_kind, identifier_kind = accounts.kind[:n].copy(), identifiers.kind[:m].copy()
        generation = accounts.generation[:n].copy()
        flows = node_features.flows(payments, links, moment, window.config.horizon, n)
        sightings = node_features.sightings(links, moment, m)
        kinds = (KIND_DEVICE, KIND_IP, KIND_CARD)
        columns = {
            USER: flows
            | node_features.habits(links, identifier_kind, kinds, profiles, generation, moment),
            MERCHANT: flows | node_features.deals(profiles, generation, moment),
            **dict.fromkeys((DEVICE, IP, CARD), sightings),
        }
        return cls(
            moment,
            account_kind,
            identifier_kind,
            generation,
            identifiers.generation[:m].copy(),
            {kind: _stacked(kind, columns[kind]) for kind in NODE_KINDS},
            neighbours(payments, links, account_kind, identifier_kind, fanout),
            node_features.payment_features(payments, moment, n),
            node_features.link_features(links, moment),
        )

    def known(self, ids: Ids, generations: Ids, *, accounts: bool) -> NDArray[np.bool_]:
        """Which entities, by id and generation, the snapshot knows. Shape: bool like `ids`."""
        mine = self.account_generation if accounts else self.identifier_generation
        there = (ids >= 0) & (ids < len(mine))
        there[there] = mine[ids[there]] == generations[there]
        return there

    def around(self, accounts: Ids, identifiers: Ids) -> Subgraph:
        """The two-step neighbourhood of some entities: the seeds.

        Seeds and their neighbours come with their newest neighbours, so two layers of messages give
        a seed the same embedding whoever else is asked about.

        Args:
            accounts: int32, ids of accounts below the snapshot's size; repeats do no harm.
            identifiers: int32, ids of identifiers.

        Shape: a `Subgraph` of S seeds has at most S * (1 + K) * (1 + K) nodes, K the neighbours of
        a node over all relations.
        """
        seeds = self._chosen(accounts, identifiers)
        near = {name: self._into(name, seeds) for name in RELATIONS}
        first = self._reached(near)
        frontier = {kind: np.setdiff1d(first[kind], seeds[kind]) for kind in NODE_KINDS}
        far = {name: self._into(name, frontier) for name in RELATIONS}
        second = self._reached(far)
        listeners = {kind: np.concatenate([seeds[kind], frontier[kind]]) for kind in NODE_KINDS}
        ids = {
            kind: np.concatenate([listeners[kind], np.setdiff1d(second[kind], listeners[kind])])
            for kind in NODE_KINDS
        }
        return Subgraph(
            self.as_of,
            ids,
            {kind: self.features[kind][ids[kind]] for kind in NODE_KINDS},
            self._edges(ids, near, far),
            {kind: len(seeds[kind]) for kind in NODE_KINDS},
            {kind: len(listeners[kind]) for kind in NODE_KINDS},
        )

    def _chosen(self, accounts: Ids, identifiers: Ids) -> dict[str, Ids]:
        ids = {
            _ACCOUNT: _distinct(accounts, len(self.account_kind)),
            _IDENTIFIER: _distinct(identifiers, len(self.identifier_kind)),
        }
        found = {}
        for kind in NODE_KINDS:
            of_space = ids[_space(kind)]
            found[kind] = of_space[self._kinds(kind)[of_space] == _CODES[kind]]
        return found

    def _kinds(self, kind: str) -> NDArray[np.uint8]:
        """Kind by id of the space that a kind of node lives in."""
        return self.account_kind if kind in ACCOUNT_KINDS else self.identifier_kind

    def _into(self, relation: str, nodes: dict[str, Ids]) -> _Spoken:
        table, speaker = self.tables[relation]
        listeners = np.concatenate([nodes[kind] for kind in _LISTENING[relation]])
        rows = table[listeners]
        there = rows >= 0
        rows = rows[there]
        return _Spoken(speaker[rows], np.repeat(listeners, there.sum(axis=1)), rows)

    def _reached(self, edges: dict[str, _Spoken]) -> dict[str, Ids]:
        own = [_SPEAKING[name][0] in ACCOUNT_KINDS for name in RELATIONS]
        accounts = [
            edges[name].speaker for name, is_own in zip(RELATIONS, own, strict=True) if is_own
        ]
        others = [
            edges[name].speaker for name, is_own in zip(RELATIONS, own, strict=True) if not is_own
        ]
        return self._chosen(np.concatenate(accounts), np.concatenate(others))

    def _edges(
        self, ids: dict[str, Ids], near: dict[str, _Spoken], far: dict[str, _Spoken]
    ) -> dict[EdgeKind, Edges]:
        numbers = {_ACCOUNT: np.zeros(len(self.account_kind), np.int32)}
        numbers[_IDENTIFIER] = np.zeros(len(self.identifier_kind), np.int32)
        for kind in NODE_KINDS:
            numbers[_space(kind)][ids[kind]] = np.arange(len(ids[kind]), dtype=np.int32)
        found = {}
        for edge_kind in EDGE_KINDS:
            source, name, target = edge_kind
            values = self.payment_features if _is_payment(name) else self.link_features
            parts, rows = [], []
            for speaker, listener, row in (near[name], far[name]):
                chosen = self._kinds(source)[speaker] == _CODES[source]
                chosen &= self._kinds(target)[listener] == _CODES[target]
                from_, to = numbers[_space(source)], numbers[_space(target)]
                parts.append(np.stack([from_[speaker[chosen]], to[listener[chosen]]]))
                rows.append(row[chosen])
            ends = np.concatenate(parts, axis=1)
            found[edge_kind] = Edges(ends, values[np.concatenate(rows)], len(rows[0]))
        return found


def _distinct(ids: Ids, size: int) -> Ids:
    """Each of some ids below `size` once, ascending; flags are faster than a sort or a hash."""
    there = np.zeros(size, np.bool_)
    there[ids] = True
    return np.flatnonzero(there).astype(np.int32)


def _space(kind: str) -> str:
    return _ACCOUNT if kind in ACCOUNT_KINDS else _IDENTIFIER


def earliest_cutoff(window: TransactionWindow) -> int:
    """The first moment that is later than everything a window holds, ms; 0 if it is empty."""
    rows, link_rows = window.live_rows()
    times, sightings = window.edges.time[rows], window.links.last[link_rows]
    return 1 + max(int(times.max(initial=-1)), int(sightings.max(initial=-1)))


def _is_payment(relation: str) -> bool:
    return relation.removeprefix(REVERSE) == PAYS


def _columns(window: TransactionWindow, as_of: int) -> tuple[Payments, Links]:
    """Live payments of the last horizon and links of the retention, newest first."""
    rows, link_rows = window.live_rows()
    edges, links = window.edges, window.links
    rows = rows[edges.time[rows] >= max(window.cutoff, as_of - window.config.horizon)]
    # Stable, over reversed rows: of equal times the one that came last is the newest.
    rows = rows[::-1][np.argsort(-edges.time[rows][::-1], kind="stable")]
    link_rows = link_rows[links.last[link_rows] >= as_of - window.config.retention]
    link_rows = link_rows[::-1][np.argsort(-links.last[link_rows][::-1], kind="stable")]
    payments = Payments(edges.time[rows], edges.value[rows], edges.source[rows], edges.target[rows])
    return payments, Links(
        links.user[link_rows],
        links.entity[link_rows],
        links.first[link_rows],
        links.last[link_rows],
        links.count[link_rows],
    )


def _stacked(kind: str, columns: node_features.Columns) -> NDArray[np.float16]:
    return np.stack([columns[name] for name in NODE_FEATURES[kind]], axis=1).astype(np.float16)
