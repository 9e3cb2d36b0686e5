"""The newest neighbours of every node and relation, in tables: what a neighbourhood is cut from.

No randomness: the newest edges as of the cut-off, so that training and serving see the same graph,
and so that what a node receives does not depend on who else was asked about.
"""

from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnn.schema import (
    DEALT_WITH,
    FORWARD,
    PAYS,
    RELATIONS,
    REVERSE,
    USES_CARD,
    USES_DEVICE,
    USES_IP,
)
from graph.compiled import kernel
from graph.errors import InvalidSetting
from graph.kernels import KIND_CARD, KIND_DEVICE, KIND_IP, KIND_MERCHANT

MOST: Final = 64
"""Neighbours of one node in one relation at most."""
_KIND_OF: Final = {USES_DEVICE: KIND_DEVICE, USES_IP: KIND_IP, USES_CARD: KIND_CARD}


@dataclass(frozen=True, slots=True)
class Fanout:
    """How many neighbours a node hears in each relation: the newest ones.

    Attributes:
        paid: Payments into an account, and as many out of it.
        dealt: Other parties a user named, and users that named an account.
        used: Devices of a user; as many addresses, and cards.
        users: Users of an identifier.

    Raises:
        InvalidSetting: One is less than 1 or more than `MOST`.
    """

    paid: int = 8
    dealt: int = 6
    used: int = 4
    users: int = 6

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 1 <= value <= MOST:
                raise InvalidSetting(
                    f"has to be between 1 and {MOST}",
                    field=f"fanout: {name}",
                    value=str(value),
                    remedy="Use 8 for most graphs.",
                )

    def of(self, relation: str) -> int:
        """Neighbours a node hears in a relation."""
        if relation.removeprefix(REVERSE) == PAYS:
            return self.paid
        if relation.removeprefix(REVERSE) == DEALT_WITH:
            return self.dealt
        return self.used if relation.startswith(REVERSE) else self.users


class Payments(NamedTuple):
    """The live edges of the money graph, newest first; n of them.

    Attributes:
        time: int64 [n], epoch ms.
        value: int64 [n], minor units; negative where declined.
        source, target: int32 [n], account ids; -1 = outside.
    """

    time: NDArray[np.int64]
    value: NDArray[np.int64]
    source: NDArray[np.int32]
    target: NDArray[np.int32]


class Links(NamedTuple):
    """The live links of users, newest sighting first; m of them.

    Attributes:
        user: int32 [m], account id.
        entity: int32 [m], identifier id, or -2 - account id of the other party.
        first, last: int64 [m], epoch ms of the first and the newest sighting.
        count: int32 [m], sightings.
    """

    user: NDArray[np.int32]
    entity: NDArray[np.int32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    count: NDArray[np.int32]  # type: ignore[assignment]  # hides tuple.count, which nobody calls


class Neighbours(NamedTuple):
    """Who speaks to whom in one relation.

    Attributes:
        table: int32 [nodes, K]: rows of the payments or links into each node, newest first, -1
            where there are no more.
        speaker: int32 [rows]: id of the node a row's message comes from.
    """

    table: NDArray[np.int32]
    speaker: NDArray[np.int32]


def neighbours(
    payments: Payments,
    links: Links,
    account_kind: NDArray[np.uint8],
    identifier_kind: NDArray[np.uint8],
    fanout: Fanout,
) -> dict[str, Neighbours]:
    """The tables of all relations. O(payments + links + nodes * K).

    Args:
        payments: Newest first.
        links: Newest first.
        account_kind: uint8 [A], kind by account id.
        identifier_kind: uint8 [I], kind by identifier id.
        fanout: How many.
    """
    between = (payments.source >= 0) & (payments.target >= 0)
    between &= payments.source != payments.target
    other = -2 - links.entity
    kind = np.full(len(links.entity), KIND_MERCHANT, np.uint8)
    kind[links.entity >= 0] = identifier_kind[links.entity[links.entity >= 0]]
    found = {}
    for name in FORWARD:
        if name == PAYS:
            ends = payments.source, payments.target
            there, listeners = between, len(account_kind)
        elif name == DEALT_WITH:
            ends = links.user, other
            there, listeners = (other >= 0) & (other != links.user), len(account_kind)
        else:
            ends = links.user, links.entity
            there = (links.entity >= 0) & (kind == _KIND_OF[name])
            listeners = len(identifier_kind)
        source, target = ends
        found[name] = Neighbours(_newest(target, there, listeners, fanout.of(name)), source)
        back = REVERSE + name
        found[back] = Neighbours(_newest(source, there, len(account_kind), fanout.of(back)), target)
    return {name: found[name] for name in RELATIONS}


def _newest(
    listener: NDArray[np.int32], there: NDArray[np.bool_], nodes: int, most: int
) -> NDArray[np.int32]:
    table = np.full((nodes, most), -1, np.int32)
    fill(np.ascontiguousarray(listener), there, table, np.zeros(nodes, np.int32))
    return table


@kernel(nogil=True)
def fill(listener, there, table, filled):  # type: ignore[no-untyped-def]
    """Enter each row into the table of its listener while there is room. Mutates the last two.

    Args:
        listener: int32 [n], node id.
        there: bool [n], whether the row belongs to the relation.
        table: int32 [nodes, K], all -1.
        filled: int32 [nodes], all 0.
    """
    for row in range(listener.shape[0]):
        if there[row]:
            node = listener[row]
            if filled[node] < table.shape[1]:
                table[node, filled[node]] = row
                filled[node] += 1
