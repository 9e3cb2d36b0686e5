"""The bounded neighbourhood of a ring, as a `networkx.MultiDiGraph`.

Ring analytics, the ring model and the page work on this graph, never on the whole window.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

import networkx as nx

from graph.evidence import Evidence, Hop
from graph.kernels import slot
from graph.rings import Ring
from graph.transaction import ACCOUNTS, Entity, EntityKind
from graph.window import TransactionWindow

MAX_NODES: Final = 200
_EDGES_A_MEMBER: Final = 200
_LINKS_LOOKED_AT: Final = 20_000
"""Of all members together, but `_EDGES_A_MEMBER` of each in any case: those whom it dealt with are
passed over, and a busy one has many. It is read between two transactions."""


def neighbourhood(
    window: TransactionWindow,
    ring: Ring,
    evidence: Sequence[Evidence] = (),
    *,
    max_nodes: int = MAX_NODES,
) -> "nx.MultiDiGraph[Entity]":
    """Everything within one step of a ring: its members, whom they paid, what they share.

    Nodes are entities. Members come first, then neighbours by the money they exchanged with
    members, until there are `max_nodes`. Edges are the transactions of the evidence (`witness`
    true, kept after they have left the window), the window's transactions among the nodes, and the
    links between users and identifiers.

    Node attributes: `member` (bool), `role` (Role or None).
    Edge attributes of kind "money" (key = transaction id): `value`, `timestamp`, `witness`; of
    kind "shared" (user -> identifier, key "shared"): `first`, `last`, `count`.
    Graph attribute `truncated`: a bound was hit (nodes, 200 newest edges or links a member, or
    20,000 links looked at for these).

    Complexity: O(m * 200 + 20,000 + n) for m members and n nodes.
    """
    graph: nx.MultiDiGraph[Entity] = nx.MultiDiGraph(truncated=len(ring.members) > max_nodes)
    for entity, role in ring.members[:max_nodes]:
        graph.add_node(entity, member=True, role=role)
    members = [entity for entity, _ in ring.members[:max_nodes]]
    witness = {hop.transaction_id: hop for piece in evidence for hop in piece.hops}
    found = dict(witness)
    links: list[tuple[Entity, Entity, int, int, int]] = []
    looked_at = max(_EDGES_A_MEMBER, _LINKS_LOOKED_AT // max(len(members), 1))
    for entity in members:
        if entity.kind in ACCOUNTS:
            account = window.accounts.find(entity.kind, entity.id)
            if account >= 0:
                graph.graph["truncated"] |= _collect(found, _money(window, account))
        graph.graph["truncated"] |= _collect_links(links, window, entity, looked_at)
    _add_neighbours(graph, found.values(), max_nodes)
    _add_money(graph, found.values(), witness)
    _add_links(graph, links, max_nodes)
    return graph


def _add_money(
    graph: "nx.MultiDiGraph[Entity]", hops: Iterable[Hop], witness: Collection[str]
) -> None:
    """Add the transactions whose two ends are both in the graph, in order of time."""
    for hop in sorted(hops, key=lambda hop: (hop.timestamp, hop.transaction_id)):
        source, target = hop.source, hop.target
        if source is not None and target is not None and source in graph and target in graph:
            graph.add_edge(
                source,
                target,
                key=hop.transaction_id,
                kind="money",
                value=hop.moved,
                timestamp=hop.timestamp,
                witness=hop.transaction_id in witness,
            )


def _add_links(
    graph: "nx.MultiDiGraph[Entity]",
    links: Iterable[tuple[Entity, Entity, int, int, int]],
    max_nodes: int,
) -> None:
    """Add who was seen with what; other users of a member identifier while there is room."""
    for user, identifier, first, last, count in sorted(links):
        for node in (identifier, user):
            if node not in graph and graph.number_of_nodes() < max_nodes:
                graph.add_node(node, member=False, role=None)
        if user in graph and identifier in graph:
            graph.add_edge(
                user, identifier, key="shared", kind="shared", first=first, last=last, count=count
            )
        else:
            graph.graph["truncated"] = True


def _collect(found: dict[str, Hop], hops: Iterator[Hop]) -> bool:
    """Add up to 200 hops; says whether there were more."""
    for n, hop in enumerate(hops):
        if n == _EDGES_A_MEMBER:
            return True
        found.setdefault(hop.transaction_id, hop)
    return False


def _money(window: TransactionWindow, account: int) -> Iterator[Hop]:
    """Money in and out of an account that stayed in the graph, newest first within a direction."""
    edges = window.edges
    for heads, back in ((edges.newest_out, edges.back_out), (edges.newest_in, edges.back_in)):
        position = int(heads[account])
        while position >= window.tail:
            row = int(slot(edges.pages, position))
            if edges.time[row] < window.cutoff:
                break
            if edges.value[row] > 0 and edges.source[row] >= 0 and edges.target[row] >= 0:
                yield window.hop(position)
            if back[row] == 0:
                break
            position -= int(back[row])


def _collect_links(
    found: list[tuple[Entity, Entity, int, int, int]],
    window: TransactionWindow,
    entity: Entity,
    looked_at: int,
) -> bool:
    """Add up to 200 links of a user or identifier, newest first; says whether there may be more.

    A link is (user, identifier, first, last, count); `looked_at` are read at most.
    """
    links = window.links
    if entity.kind is EntityKind.USER:
        id_ = window.accounts.find(entity.kind, entity.id)
        heads, back = links.newest_of_user, links.back_user
    elif entity.kind is EntityKind.MERCHANT:
        return False
    else:
        id_ = window.identifiers.find(entity.kind, entity.id)
        heads, back = links.newest_of_identifier, links.back_entity
    if id_ < 0:
        return False
    oldest = window.watermark - window.config.retention
    room = _EDGES_A_MEMBER
    position = int(heads[id_])
    for _ in range(looked_at):
        if position < window.link_tail:
            return False
        row = int(slot(links.pages, position))
        if links.entity[row] >= 0 and links.last[row] >= oldest:
            user = window.account(int(links.user[row]))
            identifier = window.identifiers.entity(int(links.entity[row]))
            if user is not None:
                if not room:
                    return True
                room -= 1
                span = (int(links.first[row]), int(links.last[row]), int(links.count[row]))
                found.append((user, identifier, *span))
        if back[row] == 0:
            return False
        position -= int(back[row])
    return True


def _add_neighbours(graph: "nx.MultiDiGraph[Entity]", hops: Iterable[Hop], max_nodes: int) -> None:
    """Add the other ends of the members' money, the largest sums first."""
    moved: dict[Entity, int] = {}
    for hop in hops:
        for entity in (hop.source, hop.target):
            if entity is not None and entity not in graph:
                moved[entity] = moved.get(entity, 0) + hop.moved
    room = max_nodes - graph.number_of_nodes()
    ranked = sorted(moved, key=lambda entity: (-moved[entity], entity))
    for entity in ranked[:room]:
        graph.add_node(entity, member=False, role=None)
    if len(ranked) > room:
        graph.graph["truncated"] = True
