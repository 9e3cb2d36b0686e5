"""Communities: few users held together by new devices, cards and money between strangers.

Behaviour
    One hand runs a dozen accounts from a handful of phones and cards and moves money among them.
    No device has enough users to be a farm, no transfer completes a pattern; together they stand
    out.

Definition
    A graph of users and of the devices and cards of 2 to `public` users; a user is tied to an
    identifier seen with it, and to a user to whom money went for the first time in the window
    (`graph.sweep.pairs`). A tie weighs 1 / log2(2 + d) for an identifier of d users, and by the
    user of fewer strangers for money, so that a hub's ties are light. Nodes of one tie are left out
    (the 2-core). Leiden cuts the graph into communities; one counts with `community_least` to
    `community_most` users, at least `community_ties` ties against those of a tree,
    `community_young` of its ties younger than `young`, `community_inside` of its weight inside, and
    money that moved between at least three of its users.

    `strength` = 0.35, plus 0.15 where it shares identifiers and moves money between strangers as
    well, plus 0.2 times the share of young ties, plus 0.1 for each further 0.5 of ties against a
    tree's (at most 0.2).

Cost
    O(links + E log E); Leiden is given at most `leiden_edges` edges, of the highest core where
    there are more (then `cut`), and is near linear in them. It works outside the interpreter's
    lock.

Determinism
    Leiden draws random numbers from a fixed seed; nodes are numbered by account id, that is by
    order of first sight, whatever they are called.

Misses
    Communities without money, and old ones: the share of young ties is what tells families.

False positives
    A club that founds itself, a family's first week with new phones; the first days of a stream.

Source
    V. Traag, L. Waltman, N. J. van Eck, "From Louvain to Leiden", Scientific Reports 9, 2019; the
    constant Potts model of V. Traag, P. Van Dooren, Y. Nesterov, Physical Review E 84, 2011. The
    implementation is graspologic-native (MIT).
"""

from typing import Final, NamedTuple

import numpy as np
from graspologic_native import leiden_csr
from numpy.typing import NDArray

from graph.evidence import Evidence, Pattern, Role
from graph.heuristics.witness import witness
from graph.kernels import KIND_CARD, KIND_DEVICE
from graph.sweep.limits import SweepLimits
from graph.sweep.pairs import Pairs
from graph.sweep.peeling import Rows, core, rows_of
from graph.transaction import Entity
from graph.window import TransactionWindow

_SEED: Final = 20_190_326
_ROUNDS: Final = 64
"""Most cores tried before Leiden's share of edges is simply cut."""
_IDENTIFIER: Final = 1 << 40
"""Added to identifier ids, so that they stand behind the accounts."""


class Ties(NamedTuple):
    """What holds users together, each tie once.

    Attributes:
        a: int64[n], account id of a user.
        b: int64[n], account id of another, or `_IDENTIFIER` + identifier id.
        weight: float64[n].
        young: bool[n], first seen within `young`.
    """

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    weight: NDArray[np.float64]
    young: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_]) -> "Ties":
        """Some of them."""
        return Ties(self.a[chosen], self.b[chosen], self.weight[chosen], self.young[chosen])


class Clustered(NamedTuple):
    """What Leiden found.

    Attributes:
        evidence: The strongest first.
        cut: A bound on edges or communities was hit: there may be more.
    """

    evidence: tuple[Evidence, ...]
    cut: bool


def communities_in(window: TransactionWindow, transfers: Pairs, limits: SweepLimits) -> Clustered:
    """Evidence of the communities of a window."""
    ties, cut = _cored(ties_of(window, transfers, limits), limits)
    if not len(ties.a):
        return Clustered((), cut)
    nodes, ends = np.unique(np.concatenate([ties.a, ties.b]), return_inverse=True)
    graph = rows_of(len(nodes), ends[: len(ties.a)], ends[len(ties.a) :], ties.weight)
    found = []
    for members in _clusters(graph, limits):
        piece = _judge(window, transfers, nodes[members], ties, limits)
        if piece is not None:
            found.append(piece)
    found.sort(key=lambda piece: (-piece.strength, piece.evidence_id))
    return Clustered(tuple(found[: limits.communities]), cut or len(found) > limits.communities)


def ties_of(window: TransactionWindow, transfers: Pairs, limits: SweepLimits) -> Ties:
    """Shared devices and cards, and money between strangers."""
    shared = _shared(window, limits)
    fresh = transfers.where(transfers.fresh)
    low, high = np.minimum(fresh.payer, fresh.payee), np.maximum(fresh.payer, fresh.payee)
    both = np.unique(np.stack([low, high]), axis=1) if len(low) else np.empty((2, 0), np.int64)
    strangers = np.bincount(both.ravel())
    fewest = np.minimum(strangers[both[0]], strangers[both[1]])
    return Ties(
        np.concatenate([shared.a, both[0]]),
        np.concatenate([shared.b, both[1]]),
        np.concatenate([shared.weight, 1 / np.log2(2.0 + fewest)]),
        np.concatenate([shared.young, np.ones(len(both[0]), np.bool_)]),
    )


def _shared(window: TransactionWindow, limits: SweepLimits) -> Ties:
    """Users and the devices and cards that they share."""
    _, rows = window.live_rows()
    links, kinds = window.links, window.identifiers.kind
    rows = rows[links.entity[rows] >= 0]
    entity = links.entity[rows].astype(np.int64)
    private = (kinds[entity] == KIND_DEVICE) | (kinds[entity] == KIND_CARD)
    private &= links.last[rows] >= window.watermark - window.config.retention
    rows, entity = rows[private], entity[private]
    # A pair may stand in the log twice: the older row is left over from a renewal.
    order = np.lexsort((links.user[rows], entity))
    rows, entity = rows[order], entity[order]
    user = links.user[rows].astype(np.int64)
    single = np.ones(len(rows), np.bool_)
    single[1:] = (entity[1:] != entity[:-1]) | (user[1:] != user[:-1])
    rows, entity, user = rows[single], entity[single], user[single]
    users = np.bincount(entity)[entity]
    few = (users >= 2) & (users <= limits.public)
    return Ties(
        user[few],
        _IDENTIFIER + entity[few],
        1 / np.log2(2.0 + users[few]),
        links.first[rows[few]] > window.watermark - limits.young,
    )


def _cored(ties: Ties, limits: SweepLimits) -> tuple[Ties, bool]:
    """The ties of the 2-core, or of the lowest higher one that Leiden may have; whether it is."""
    for least in range(2, 2 + _ROUNDS):
        if not len(ties.a):
            break
        nodes, ends = np.unique(np.concatenate([ties.a, ties.b]), return_inverse=True)
        a, b = ends[: len(ties.a)], ends[len(ties.a) :]
        alive = core(rows_of(len(nodes), a, b, ties.weight), least)
        ties = ties.where(alive[a] & alive[b])
        if len(ties.a) <= limits.leiden_edges:
            return ties, least > 2
    first = np.zeros(len(ties.a), np.bool_)
    first[: limits.leiden_edges] = True
    return ties.where(first), len(ties.a) > limits.leiden_edges


def _clusters(graph: Rows, limits: SweepLimits) -> list[NDArray[np.int64]]:
    """Nodes of each community, ascending."""
    _, of_node = leiden_csr(
        graph.starts,
        graph.ends,
        graph.weights,
        len(graph.starts) - 1,
        resolution=limits.leiden_resolution,
        use_modularity=False,
        iterations=2,
        seed=_SEED,
    )
    nodes = np.fromiter(of_node, np.int64, len(of_node))
    community = np.fromiter(of_node.values(), np.int64, len(of_node))
    order = np.lexsort((nodes, community))
    nodes, community = nodes[order], community[order]
    found = np.split(nodes, np.flatnonzero(np.diff(community)) + 1)
    found.sort(key=lambda members: int(members[0]))
    return [members for members in found if len(members) >= limits.community_least]


def _judge(
    window: TransactionWindow,
    transfers: Pairs,
    members: NDArray[np.int64],
    ties: Ties,
    limits: SweepLimits,
) -> Evidence | None:
    """The community as evidence, if it is one."""
    users, shared = members[members < _IDENTIFIER], members[members >= _IDENTIFIER]
    if not limits.community_least <= len(users) <= limits.community_most:
        return None
    one, other = np.isin(ties.a, members), np.isin(ties.b, members)
    inside = ties.where(one & other)
    if len(inside.a) < limits.community_ties * (len(members) - 1):
        return None
    young = float(inside.young.mean())
    kept = float(inside.weight.sum() / ties.weight[one | other].sum())
    if young < limits.community_young or kept < limits.community_inside:
        return None
    moved = transfers.where(np.isin(transfers.payer, users) & np.isin(transfers.payee, users))
    if len(np.union1d(moved.payer, moved.payee)) < 3:
        return None
    return _evidence(window, users, shared, moved, (inside, young, kept), limits)


def _evidence(
    window: TransactionWindow,
    users: NDArray[np.int64],
    shared: NDArray[np.int64],
    moved: Pairs,
    found: tuple[Ties, float, float],
    limits: SweepLimits,
) -> Evidence:
    inside, young, kept = found
    hops = witness(window, np.sort(moved.newest)[-limits.witness :].tolist())
    against = len(inside.a) / (len(users) + len(shared) - 1)
    strangers = int((inside.b < _IDENTIFIER).sum())
    denser = min(0.1 * int(2 * (against - limits.community_ties)), 0.2)
    strength = 0.35 + 0.2 * young + denser + (0.15 if len(shared) and strangers else 0.0)
    # The earliest payer shown is the centre.
    people = sorted(
        (window.accounts.entity(id_) for id_ in users.tolist()),
        key=lambda user: user != hops[0].source,
    )
    things: list[Entity] = [window.identifiers.entity(id_ - _IDENTIFIER) for id_ in shared.tolist()]
    return Evidence(
        pattern=Pattern.COMMUNITY,
        seen_at=window.watermark,
        members=(
            *((user, Role.MEMBER) for user in people),
            *((thing, Role.SHARED) for thing in things),
        ),
        hops=hops,
        strength=strength,
        reason=(
            f"{len(users)} users are tied together by {len(inside.a) - strangers} links to "
            f"{len(shared)} devices and cards and by money between {strangers} pairs of strangers; "
            f"{100 * young:.0f} % of it is younger than a week."
        ),
        facts={
            "users": float(len(users)),
            "identifiers": float(len(shared)),
            "ties": float(len(inside.a)),
            "ties_of_a_tree": against,
            "inside": kept,
            "young": young,
        },
        truncated=len(hops) < len(moved.newest),
    )
