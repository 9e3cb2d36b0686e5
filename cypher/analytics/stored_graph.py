"""The stored graph as arrays: what the embedded algorithms run on.

Three kinds of edge, the same that `cypher/analytics/gds.py` projects:

- *money*: user or merchant to user or merchant, once a directed pair, loops left out;
- *tie*: the same without direction, once an unordered pair;
- *used*: user to device or card. IPs stay outside: an IP alone never joins anybody (carrier NAT,
  campus, airport). So does an identifier of more than `most_users` users.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from graph.transaction import Entity, EntityKind

ORDER: Final = (EntityKind.USER, EntityKind.MERCHANT, EntityKind.DEVICE, EntityKind.CARD)
"""Kinds in the order of the node numbers: accounts first, users before merchants."""

Pairs = NDArray[np.int64]
Matrix = Any  # scipy ships no types


@dataclass(frozen=True)
class StoredGraph:
    """Nodes by number, and pairs of numbers.

    Attributes:
        as_of: Event time (ms) of the newest transaction in it.
        entities: Sorted by kind in the order of `ORDER`, then by id.
        users: The first so many entities are users.
        accounts: The first so many are users or merchants.
        money: int64 [M, 2], distinct directed pairs of accounts.
        used: int64 [K, 2], distinct pairs user, identifier.
        seeds: int64 [S], users known for fraud, sorted.
    """

    as_of: int
    entities: tuple[Entity, ...]
    users: int
    accounts: int
    money: Pairs
    used: Pairs
    seeds: NDArray[np.int64]

    @property
    def nodes(self) -> int:
        """How many entities."""
        return len(self.entities)

    @cached_property
    def ties(self) -> Pairs:
        """Distinct unordered pairs of accounts, the smaller number first."""
        return np.unique(np.sort(self.money, axis=1), axis=0)

    @cached_property
    def user_ties(self) -> Pairs:
        """Ties between users."""
        return self.ties[(self.ties < self.users).all(axis=1)]

    @cached_property
    def user_money(self) -> Pairs:
        """Money between users."""
        return self.money[(self.money < self.users).all(axis=1)]

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """By user, whether it is known for fraud."""
        found = np.zeros(self.users, np.bool_)
        found[self.seeds] = True
        return found

    def matrix(self, pairs: Pairs, size: int, *, undirected: bool = False) -> Matrix:
        """Adjacency of the first `size` nodes as a sparse matrix, 1.0 a pair."""
        both = np.concatenate([pairs, pairs[:, ::-1]]) if undirected else pairs
        ones = np.ones(len(both))
        return sparse.csr_array((ones, (both[:, 0], both[:, 1])), shape=(size, size))


def stored_graph(
    as_of: int,
    accounts: Iterable[Entity],
    money: Iterable[tuple[Entity, Entity]],
    used: Iterable[tuple[Entity, Entity]],
    fraud: Iterable[Entity],
    most_users: int,
) -> StoredGraph:
    """Number the entities and the pairs; any order of the input gives the same graph."""
    money = {(source, target) for source, target in money if source != target}
    used = set(used)
    users_of: dict[Entity, int] = {}
    for _, identifier in used:
        users_of[identifier] = users_of.get(identifier, 0) + 1
    used = {pair for pair in used if users_of[pair[1]] <= most_users}
    known = set(accounts)
    known.update(entity for pair in money for entity in pair)
    known.update(entity for pair in used for entity in pair)
    rank = {kind: place for place, kind in enumerate(ORDER)}
    entities = sorted(known, key=lambda entity: (rank[entity.kind], entity.id))
    numbers = {entity: number for number, entity in enumerate(entities)}
    kinds = [entity.kind for entity in entities]
    users = kinds.count(EntityKind.USER)
    return StoredGraph(
        as_of=as_of,
        entities=tuple(entities),
        users=users,
        accounts=users + kinds.count(EntityKind.MERCHANT),
        money=_pairs(money, numbers),
        used=_pairs(used, numbers),
        seeds=np.array(
            sorted(
                numbers[entity]
                for entity in set(fraud)
                if entity.kind is EntityKind.USER and entity in numbers
            ),
            np.int64,
        ),
    )


def _pairs(pairs: Iterable[tuple[Entity, Entity]], numbers: dict[Entity, int]) -> Pairs:
    found = sorted((numbers[source], numbers[target]) for source, target in pairs)
    return np.array(found, np.int64).reshape(-1, 2)
