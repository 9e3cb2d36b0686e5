"""The graph that the ring model sees, from a list of transactions by brute force."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import networkx as nx

from gnn.sampling import Fanout
from gnn.schema import REVERSE
from graph.transaction import DAY, HOUR, Entity, EntityKind, Transaction

Spoken = tuple[Entity, str, Entity, tuple[float, ...]]
"""Speaker, relation, listener, features."""
_USES = {
    EntityKind.DEVICE: "uses_device",
    EntityKind.IP: "uses_ip",
    EntityKind.CARD: "uses_card",
}


def log(value: float) -> float:
    return math.log1p(max(value, 0))


class Sighting:
    def __init__(self, time: int) -> None:
        self.first = self.last = time
        self.count = 1

    def again(self, time: int) -> None:
        self.last = max(self.last, time)
        self.count += 1


class Past:
    """Everything before a moment."""

    def __init__(self, transactions: Sequence[Transaction], as_of: int) -> None:
        self.as_of = as_of
        self.recent = [tx for tx in transactions if tx.timestamp >= as_of - DAY]
        self.links: dict[tuple[Entity, Entity], Sighting] = {}
        for tx in transactions:
            for entity in tx.entities[1:]:
                if (tx.user, entity) in self.links:
                    self.links[tx.user, entity].again(tx.timestamp)
                else:
                    self.links[tx.user, entity] = Sighting(tx.timestamp)
        self.inflow: dict[Entity | None, int] = defaultdict(int)
        self.outflow: dict[Entity | None, int] = defaultdict(int)
        for tx in self.recent:
            if tx.moves_money:
                self.outflow[tx.payer] += tx.value
                self.inflow[tx.payee] += tx.value

    def edges(self) -> Iterable[tuple[int, Spoken]]:
        """(when, who speaks to whom) in both directions."""
        for tx in self.recent:
            payer, payee = tx.payer, tx.payee
            if payer is None or payee is None or payer == payee:
                continue
            paid = tx.value if tx.moves_money else 0
            said = (
                log(tx.value),
                float(not tx.moves_money),
                log((self.as_of - tx.timestamp) / HOUR),
                paid / max(self.outflow[payer], 1),
                paid / max(self.inflow[payee], 1),
            )
            yield tx.timestamp, (payer, "pays", payee, said)
            yield tx.timestamp, (payee, REVERSE + "pays", payer, said)
        for (user, entity), link in self.links.items():
            if user == entity:
                continue
            name = _USES.get(entity.kind, "dealt_with")
            ages = (self.as_of - link.first) / HOUR, (self.as_of - link.last) / HOUR
            said = log(link.count), log(ages[0]), log(ages[1])
            yield link.last, (user, name, entity, said)
            yield link.last, (entity, REVERSE + name, user, said)

    def heard(self, fanout: Fanout) -> "nx.MultiDiGraph[Entity]":
        """What every node hears: the newest edges of each relation."""
        by_ear: dict[tuple[str, Entity], list[tuple[int, int, Spoken]]] = defaultdict(list)
        for order, (time, spoken) in enumerate(self.edges()):
            by_ear[spoken[1], spoken[2]].append((time, order, spoken))
        graph: nx.MultiDiGraph[Entity] = nx.MultiDiGraph()
        for (relation, _), entries in by_ear.items():
            for _, _, (speaker, _, listener, said) in sorted(entries)[::-1][: fanout.of(relation)]:
                graph.add_edge(speaker, listener, relation=relation, said=said)
        return graph

    def features(self, entity: Entity) -> dict[str, float]:
        """Those features of a node that can be told from the list in a line each."""
        links = {pair: link for pair, link in self.links.items() if entity in pair}
        if entity.kind not in (EntityKind.USER, EntityKind.MERCHANT):
            seen = list(links.values())
            fresh = [link for link in seen if link.first >= self.as_of - DAY]
            return {
                "users": log(len(seen)),
                "new_users": log(len(fresh)),
                "sightings": log(sum(link.count for link in seen)),
                "age": log((self.as_of - min(link.first for link in seen)) / HOUR),
                "since": log((self.as_of - max(link.last for link in seen)) / HOUR),
            }
        moved = [tx for tx in self.recent if tx.moves_money]
        in_, out = ([t for t in moved if end(t) == entity] for end in (_payee, _payer))
        named = [link for (_, other), link in links.items() if other == entity]
        found = {
            "in_count": log(len(in_)),
            "out_count": log(len(out)),
            "in_sum": log(self.inflow[entity]),
            "out_sum": log(self.outflow[entity]),
            "out_share": self.outflow[entity] / max(self.inflow[entity] + self.outflow[entity], 1),
            "from_outside": sum(t.value for t in in_ if t.payer is None)
            / max(self.inflow[entity], 1),
            "to_outside": sum(t.value for t in out if t.payee is None)
            / max(self.outflow[entity], 1),
            "since_in": log(
                (self.as_of - max((t.timestamp for t in in_), default=self.as_of - DAY)) / HOUR
            ),
            "since_out": log(
                (self.as_of - max((t.timestamp for t in out), default=self.as_of - DAY)) / HOUR
            ),
            "senders": log(len({t.payer for t in in_} - {None})),
            "receivers": log(len({t.payee for t in out} - {None})),
            "declined": log(sum(not t.moves_money and t.payer == entity for t in self.recent)),
            "dealers": log(len(named)),
            "new_dealers": log(sum(link.first >= self.as_of - DAY for link in named)),
        }
        if entity.kind is EntityKind.USER:
            own = {other: link for (user, other), link in links.items() if user == entity}
            kinds = [other.kind for other in own]
            found |= {
                "others": log(sum(k in (EntityKind.USER, EntityKind.MERCHANT) for k in kinds)),
                "devices": log(kinds.count(EntityKind.DEVICE)),
                "ips": log(kinds.count(EntityKind.IP)),
                "cards": log(kinds.count(EntityKind.CARD)),
                "new_identifiers": log(
                    sum(
                        link.first >= self.as_of - DAY and other.kind in _USES
                        for other, link in own.items()
                    )
                ),
            }
        return found


def _payer(tx: Transaction) -> Entity | None:
    return tx.payer


def _payee(tx: Transaction) -> Entity | None:
    return tx.payee
