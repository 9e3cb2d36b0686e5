"""What the ring model sees: kinds of nodes, relations, and the features of both, by name and order.

A model answers graphs of exactly the schema it was trained on; `GraphSchema.hash` says which that
is. Every number here is a logarithm, a share or a flag, so that it fits 16 bits: `log` below means
log(1 + x), of minor units for money, of hours for ages, of things for counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import xxhash

from graph.errors import InvalidSetting

USER: Final = "user"
DEVICE: Final = "device"
IP: Final = "ip"
CARD: Final = "card"
MERCHANT: Final = "merchant"

NODE_KINDS: Final = (USER, MERCHANT, DEVICE, IP, CARD)
"""Kinds of nodes, in the order in which a subgraph numbers them."""
ACCOUNT_KINDS: Final = frozenset({USER, MERCHANT})
"""Kinds that share the window's space of accounts; the others are identifiers."""
PARTIES: Final = (USER, "other", DEVICE, IP, CARD)
"""Who takes part in a transaction, in the order of the head's embeddings."""

PAYS: Final = "pays"
DEALT_WITH: Final = "dealt_with"
USES_DEVICE: Final = "uses_device"
USES_IP: Final = "uses_ip"
USES_CARD: Final = "uses_card"
REVERSE: Final = "rev_"

FORWARD: Final = (PAYS, DEALT_WITH, USES_DEVICE, USES_IP, USES_CARD)
RELATIONS: Final = (*FORWARD, *(REVERSE + name for name in FORWARD))
"""Relations along which messages go, in each direction."""

EdgeKind = tuple[str, str, str]
EDGE_KINDS: Final[tuple[EdgeKind, ...]] = (
    (USER, PAYS, USER),
    (USER, PAYS, MERCHANT),
    (MERCHANT, PAYS, USER),
    (USER, DEALT_WITH, USER),
    (USER, DEALT_WITH, MERCHANT),
    (USER, USES_DEVICE, DEVICE),
    (USER, USES_IP, IP),
    (USER, USES_CARD, CARD),
    (USER, REVERSE + PAYS, USER),
    (MERCHANT, REVERSE + PAYS, USER),
    (USER, REVERSE + PAYS, MERCHANT),
    (USER, REVERSE + DEALT_WITH, USER),
    (MERCHANT, REVERSE + DEALT_WITH, USER),
    (DEVICE, REVERSE + USES_DEVICE, USER),
    (IP, REVERSE + USES_IP, USER),
    (CARD, REVERSE + USES_CARD, USER),
)
"""Who speaks, in which relation, to whom: each with weights of its own. Merchants only deal with
users."""

_FLOWS: Final = {
    "in_count": "log payments received in the last day",
    "out_count": "log payments made in the last day",
    "in_sum": "log money received in the last day, minor units",
    "out_sum": "log money paid in the last day, minor units",
    "out_share": "money paid / money moved in the last day; 0 where none moved",
    "from_outside": "share of the money received that came from outside the graph",
    "to_outside": "share of the money paid that left the graph",
    "since_in": "log hours since the newest payment received; those of the window if none",
    "since_out": "log hours since the newest payment made; those of the window if none",
    "senders": "log distinct accounts paid by in the last day",
    "receivers": "log distinct accounts paid in the last day",
    "declined": "log declined attempts out of it in the last day",
    "dealers": "log users that named it as other party in the last 30 days",
    "new_dealers": "log those who first did so in the last day",
}
_USER: Final = {
    "others": "log other parties it named in the last 30 days",
    "new_others": "log those first named in the last day",
    "devices": "log devices seen with it in the last 30 days",
    "ips": "log addresses seen with it in the last 30 days",
    "cards": "log cards seen with it in the last 30 days",
    "new_identifiers": "log devices, addresses and cards first seen with it in the last day",
    "age": "log hours since it was first seen, or opened where that is known",
    "transactions": "log transactions ever",
    "paid": "log payments ever made",
    "usual": "log mean of what it pays at a time, minor units",
    "awake": "log hours since it woke from a long sleep; 0 if it never slept so long",
    "slept": "log hours that sleep lasted; 0 if there was none",
    "at_home": "share of its transactions on a device long in use",
}
_MERCHANT: Final = {
    "deals": "log purchases and refunds, halved each week",
    "returned": "share of refunds among them",
}
_IDENTIFIER: Final = {
    "users": "log users seen with it in the last 30 days",
    "new_users": "log those first seen with it in the last day",
    "young_users": "log those first seen with it in the last seven days",
    "sightings": "log sightings in the last 30 days",
    "age": "log hours since its first live sighting",
    "since": "log hours since its newest sighting",
}
NODE_FEATURES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        USER: _FLOWS | _USER,
        DEVICE: _IDENTIFIER,
        IP: _IDENTIFIER,
        CARD: _IDENTIFIER,
        MERCHANT: _FLOWS | _MERCHANT,
    }
)
"""Features of each kind of node by name: what they say, and in what."""

_PAYMENT: Final = {
    "value": "log amount, minor units",
    "declined": "1 where no money moved",
    "age": "log hours since",
    "of_outflow": "share of all its payer paid in the last day",
    "of_inflow": "share of all its payee received in the last day",
}
_LINK: Final = {
    "count": "log sightings",
    "age": "log hours since the first",
    "since": "log hours since the newest",
}
EDGE_FEATURES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {name: _PAYMENT if name == PAYS else _LINK for name in FORWARD}
)
"""Features of each relation by name; those of the reverse are the same."""


def name_of(kind: EdgeKind) -> str:
    """The name of a kind of edge in files and models."""
    return "__".join(kind)


def edge_width(relation: str) -> int:
    """Number of features of a relation or its reverse."""
    return len(EDGE_FEATURES[relation.removeprefix(REVERSE)])


@dataclass(frozen=True, slots=True)
class GraphSchema:
    """The columns of a subgraph, the caller's own ones included.

    Attributes:
        account_extra: Names of columns the caller adds to every user and merchant.
        identifier_extra: Names of columns the caller adds to every device, address and card.
        context: Names of the columns of a transaction that the caller gives to the head.

    Raises:
        InvalidSetting: A name is used twice.
    """

    account_extra: tuple[str, ...] = ()
    identifier_extra: tuple[str, ...] = ()
    context: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for kind in NODE_KINDS:
            _require_distinct(self.node_columns(kind), kind)
        _require_distinct(self.context, "context")

    def added(self, kind: str) -> tuple[str, ...]:
        """Names of the caller's columns of a kind of node."""
        return self.account_extra if kind in ACCOUNT_KINDS else self.identifier_extra

    def node_columns(self, kind: str) -> tuple[str, ...]:
        """Names of all columns of a kind of node, in order."""
        return (*NODE_FEATURES[kind], *self.added(kind))

    @property
    def hash(self) -> str:
        """Hash of kinds, relations, names and order."""
        parts = [f"{kind}:{','.join(self.node_columns(kind))}" for kind in NODE_KINDS]
        parts += [
            f"{name_of(kind)}:{','.join(EDGE_FEATURES[kind[1].removeprefix(REVERSE)])}"
            for kind in EDGE_KINDS
        ]
        parts.append(f"context:{','.join(self.context)}")
        return xxhash.xxh3_64_hexdigest("\x1f".join(parts).encode())


def _require_distinct(names: tuple[str, ...], where: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidSetting(
            "a feature is named twice",
            field=f"graph schema: {where}",
            value=", ".join(twice),
            remedy="Give every column a name of its own.",
        )
