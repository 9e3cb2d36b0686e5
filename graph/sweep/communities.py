"""Seen only in the whole window: users held together by new devices, cards and money.

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

    `strength` = 0.5, plus 0.2 times the share of young ties, plus 0.1 for each further 0.5 of ties
    against a tree's (at most 0.2), where the links to what is shared are as many as the users: one
    hand has to hold them all. Else 0.45, since circles of new friends look the same: that only
    speaks about a ring that holds all of them.

Method and cost
    O(links + E log E); Leiden is given at most `leiden_edges` edges, of the highest core where
    there are more (then `cut`), and is near linear in them. It works outside the interpreter's
    lock.

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

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from graspologic_native import leiden_csr
from numpy.typing import NDArray

from graph.compiled import kernel
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics.witness import witness
from graph.kernels import KIND_CARD, KIND_DEVICE
from graph.sweep.limits import SweepLimits
from graph.sweep.pairs import Pairs
from graph.sweep.peeling import Rows, by_ends, core, numbered, rows_of
from graph.window import TransactionWindow

_SEED: Final = 20_190_326
_WEAK: Final = 0.45
_MOVING: Final = 3
"""Users of a community that money moved between."""
_ROUNDS: Final = 64
"""Most cores tried before Leiden's share of edges is simply cut."""


class Ties(NamedTuple):
    """What holds users together, each tie once.

    Attributes:
        a: int64[n], account id of a user.
        b: int64[n], account id of another, or `accounts` + identifier id.
        weight: float64[n].
        young: bool[n], first seen within `young`.
        accounts: Account ids are below this.
    """

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    weight: NDArray[np.float64]
    young: NDArray[np.bool_]
    accounts: int

    def where(self, chosen: NDArray[np.bool_]) -> "Ties":
        """Some of them."""
        return Ties(
            self.a[chosen], self.b[chosen], self.weight[chosen], self.young[chosen], self.accounts
        )


class Clustered(NamedTuple):
    """What Leiden found.

    Attributes:
        evidence: The strongest first.
        cut: A bound on edges or communities was hit: there may be more.
    """

    evidence: tuple[Evidence, ...]
    cut: bool


class _Cluster(NamedTuple):
    """A community that holds together.

    Attributes:
        users: int64[u], account ids.
        shared: int64[s], identifier ids.
        ties: Ties inside.
        strangers: Those of them that are money.
        young: Share of them younger than `young`.
        inside: Share of their members' weight that is inside.
    """

    users: NDArray[np.int64]
    shared: NDArray[np.int64]
    ties: int
    strangers: int
    young: float
    inside: float

    @property
    def against_a_tree(self) -> float:
        """Ties, against those of a tree over the same members."""
        return self.ties / (len(self.users) + len(self.shared) - 1)


def communities_in(window: TransactionWindow, transfers: Pairs, limits: SweepLimits) -> Clustered:
    """Evidence of the communities of a window."""
    ties, cut = _cored(ties_of(window, transfers, limits), limits)
    if not len(ties.a):
        return Clustered((), cut)
    found = []
    for cluster in _clusters(ties, limits):
        moved = transfers.where(
            np.isin(transfers.payer, cluster.users) & np.isin(transfers.payee, cluster.users)
        )
        if len(np.union1d(moved.payer, moved.payee)) >= _MOVING:
            found.append(_evidence(window, cluster, moved, limits))
    found.sort(key=lambda piece: (-piece.strength, piece.evidence_id))
    return Clustered(tuple(found[: limits.communities]), cut or len(found) > limits.communities)


def ties_of(window: TransactionWindow, transfers: Pairs, limits: SweepLimits) -> Ties:
    """Shared devices and cards, and money between strangers."""
    shared = _shared(window, limits)
    fresh = transfers.where(transfers.fresh)
    low, high = np.minimum(fresh.payer, fresh.payee), np.maximum(fresh.payer, fresh.payee)
    order = by_ends(low, high)
    low, high = low[order], high[order]
    single = np.ones(len(low), np.bool_)
    single[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    low, high = low[single], high[single]
    strangers = np.bincount(np.concatenate([low, high]))
    fewest = np.minimum(strangers[low], strangers[high])
    return Ties(
        np.concatenate([shared.a, low]),
        np.concatenate([shared.b, high]),
        np.concatenate([shared.weight, 1 / np.log2(2.0 + fewest)]),
        np.concatenate([shared.young, np.ones(len(low), np.bool_)]),
        shared.accounts,
    )


def _shared(window: TransactionWindow, limits: SweepLimits) -> Ties:
    """Users and the devices and cards that they share."""
    _, rows = window.live_rows()
    links, kinds = window.links, window.identifiers.kind[: window.identifiers.size]
    private = (kinds == KIND_DEVICE) | (kinds == KIND_CARD)
    oldest = window.watermark - window.config.retention
    found = np.empty(len(rows), np.int64)
    rows = found[: _met_twice(links, rows, private, oldest, np.zeros(len(kinds), np.int32), found)]
    entity, user = links.entity[rows].astype(np.int64), links.user[rows].astype(np.int64)
    # A pair may stand in the log twice: the older row is left over from a renewal.
    order = by_ends(entity, user)
    rows, entity, user = rows[order], entity[order], user[order]
    single = np.ones(len(rows), np.bool_)
    single[1:] = (entity[1:] != entity[:-1]) | (user[1:] != user[:-1])
    rows, entity, user = rows[single], entity[single], user[single]
    users = np.bincount(entity)[entity]
    few = (users >= 2) & (users <= limits.public)
    things = (entity[few] + window.accounts.size).astype(np.int64)
    return Ties(
        user[few],
        things,
        1 / np.log2(2.0 + users[few]),
        links.first[rows[few]] > window.watermark - limits.young,
        window.accounts.size,
    )


@kernel(nogil=True)
def _met_twice(links, rows, private, oldest, count, found):  # type: ignore[no-untyped-def]
    """Fill `found` with rows of live links to private identifiers of two links; returns how many.

    Args:
        links: Columns of the link log.
        rows: int64[l], its live rows.
        private: bool[i], by identifier.
        oldest: A link last seen before is not counted on, ms; for the two it does count.
        count: int32[i], zero. Scratch.
        found: int64[l]. Mutated.
    """
    entity, last, size = links.entity, links.last, 0
    for row in rows:
        if entity[row] >= 0 and private[entity[row]]:
            count[entity[row]] += 1
    for row in rows:
        at = entity[row]
        if at >= 0 and count[at] >= 2 and last[row] >= oldest:  # two make a tie
            found[size] = row
            size += 1
    return size


def _laid_out(ties: Ties) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Rows]:
    """(ids of the nodes, the node at either end of each tie, the graph)."""
    ids = np.concatenate([ties.a, ties.b])
    nodes, ends = numbered(ids, int(ids.max()) + 1)
    a, b = ends[: len(ties.a)], ends[len(ties.a) :]
    return nodes, a, b, rows_of(len(nodes), a, b, ties.weight)


def _cored(ties: Ties, limits: SweepLimits) -> tuple[Ties, bool]:
    """The ties of the 2-core, or of the lowest higher one that Leiden may have; whether it is."""
    for least in range(2, 2 + _ROUNDS):
        if not len(ties.a):
            break
        _, a, b, graph = _laid_out(ties)
        alive = core(graph, least)
        ties = ties.where(alive[a] & alive[b])
        if len(ties.a) <= limits.leiden_edges:
            return ties, least > 2
    first = np.zeros(len(ties.a), np.bool_)
    first[: limits.leiden_edges] = True
    return ties.where(first), len(ties.a) > limits.leiden_edges


def _clusters(ties: Ties, limits: SweepLimits) -> Iterator[_Cluster]:
    """The communities that hold together, the one of the lowest account first."""
    nodes, a, b, graph = _laid_out(ties)
    _, of_node = leiden_csr(
        graph.starts,
        graph.ends,
        graph.weights,
        len(nodes),
        resolution=limits.leiden_resolution,
        use_modularity=False,
        iterations=2,
        seed=_SEED,
    )
    community = np.empty(len(nodes), np.int64)
    community[np.fromiter(of_node, np.int64, len(of_node))] = np.fromiter(
        of_node.values(), np.int64, len(of_node)
    )
    is_user = nodes < ties.accounts
    count = int(community.max()) + 1
    size = np.bincount(community, minlength=count)
    users = np.bincount(community[is_user], minlength=count)
    mine, theirs = community[a], community[b]
    within = mine == theirs
    at = mine[within]
    kept = np.bincount(at, minlength=count)
    young = np.bincount(at[ties.young[within]], minlength=count) / np.maximum(kept, 1)
    strangers = np.bincount(at[ties.b[within] < ties.accounts], minlength=count)
    weight = np.bincount(at, ties.weight[within], minlength=count)
    whole = np.bincount(mine, ties.weight, minlength=count)
    whole += np.bincount(theirs[~within], ties.weight[~within], minlength=count)
    inside = weight / np.maximum(whole, 1e-9)
    good = (users >= limits.community_least) & (users <= limits.community_most)
    good &= kept >= limits.community_ties * (size - 1)
    good &= (young >= limits.community_young) & (inside >= limits.community_inside)
    first = np.full(count, len(nodes))
    np.minimum.at(first, community, np.arange(len(nodes)))
    for each in sorted(np.flatnonzero(good).tolist(), key=lambda each: int(first[each])):
        members = nodes[community == each]
        yield _Cluster(
            members[members < ties.accounts],
            members[members >= ties.accounts] - ties.accounts,
            int(kept[each]),
            int(strangers[each]),
            float(young[each]),
            float(inside[each]),
        )


def _evidence(
    window: TransactionWindow, found: _Cluster, moved: Pairs, limits: SweepLimits
) -> Evidence:
    users, shared = found.users, found.shared
    hops = witness(window, np.sort(moved.newest)[-limits.witness :].tolist())
    strength = _WEAK
    if found.ties - found.strangers >= len(users):
        denser = min(0.1 * int(2 * (found.against_a_tree - limits.community_ties)), 0.2)
        strength = 0.5 + 0.2 * found.young + denser
    # The earliest payer shown is the centre.
    people = sorted(
        (window.accounts.entity(id_) for id_ in users.tolist()),
        key=lambda user: user != hops[0].source,
    )
    things = [window.identifiers.entity(id_) for id_ in shared.tolist()]
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
            f"{len(users)} users are tied together by {found.ties - found.strangers} links to "
            f"{len(shared)} devices and cards and by money between {found.strangers} pairs of "
            f"strangers; {100 * found.young:.0f} % of it is younger than a week."
        ),
        facts={
            "users": float(len(users)),
            "identifiers": float(len(shared)),
            "ties": float(found.ties),
            "ties_of_a_tree": found.against_a_tree,
            "inside": found.inside,
            "young": found.young,
        },
        truncated=len(hops) < len(moved.newest),
    )
