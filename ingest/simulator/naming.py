"""From numbers to the wire: the tables of names, made once, and the columns of some rows."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest.simulator.attire import CHANNELS, Attire
from ingest.simulator.flows import PHASES, TYPES, Flows
from ingest.simulator.look_alikes import LOOK_ALIKES, STRIDE
from ingest.simulator.names import addresses, decimals, hexadecimal, opaque_ids, permuted
from ingest.simulator.places import CATEGORIES, CITIES, CURRENCIES
from ingest.simulator.population import World
from ingest.simulator.rings import RingTruth

Ints = npt.NDArray[np.int64]

USERS, DEVICES, CARDS, MERCHANTS, ADDRESSES, TRANSACTIONS, RINGS = range(0, 70, 10)
"""Name spaces of the ids."""

WIRE_FIELDS: Final = (
    "transaction_id",
    "timestamp",
    "type",
    "amount",
    "currency",
    "user_id",
    "counterparty_id",
    "merchant_id",
    "device_id",
    "ip_address",
    "card_id",
    "country",
    "location",
    "merchant_category",
    "channel",
    "outcome",
    "user_created_at",
)
"""The columns a detector may see; the four after them are the truth."""

TRANSACTION_SCHEMA: Final = pa.schema(
    [
        (name, pa.int64() if name in ("timestamp", "user_created_at") else pa.large_string())
        for name in WIRE_FIELDS
    ]
    + [
        ("fraud", pa.bool_()),
        ("label_known_at", pa.int64()),
        ("ring_id", pa.large_string()),
        ("ring_kind", pa.large_string()),
    ]
)
RING_SCHEMA: Final = pa.schema(
    [
        ("ring_id", pa.large_string()),
        ("kind", pa.large_string()),
        ("variant", pa.large_string()),
        ("members", pa.list_(pa.struct([("user_id", pa.string()), ("role", pa.string())]))),
        ("merchants", pa.list_(pa.string())),
        ("transaction_ids", pa.list_(pa.string())),
        ("phases", pa.list_(pa.string())),
        ("rounds", pa.list_(pa.int64())),
    ]
)
LOOK_ALIKE_SCHEMA: Final = pa.schema(
    [("transaction_id", pa.large_string()), ("kind", pa.large_string()), ("group", pa.int64())]
)


@dataclass(frozen=True, slots=True)
class Names:
    """The name of everything by its number; O(world) memory."""

    world: World
    truth: list[RingTruth]
    users: pa.Array
    merchants: pa.Array
    devices: pa.Array
    ips: pa.Array
    cards: pa.Array
    rings: pa.Array
    kinds: pa.Array

    def transactions(
        self, flows: Flows, attire: Attire, fraud: Ints, known_at: Ints, first: int
    ) -> pa.Table:
        """Rows of `TRANSACTION_SCHEMA`, the first of which is the world's `first`."""
        category = self.world.market.category[np.maximum(flows.merchant, 0)]
        columns = {
            "transaction_id": self.ids(first + np.arange(len(flows))),
            "timestamp": flows.time,
            "type": _pick(_texts([str(kind) for kind in TYPES]), flows.type),
            "amount": decimals(flows.amount),
            "currency": _pick(_texts(CURRENCIES), attire.currency),
            "user_id": _pick(self.users, flows.user),
            "counterparty_id": _pick(self.users, flows.counterparty),
            "merchant_id": _pick(self.merchants, flows.merchant),
            "device_id": _pick(self.devices, attire.device),
            "ip_address": _pick(self.ips, attire.ip),
            "card_id": _pick(self.cards, attire.card),
            "country": _pick(_COUNTRIES, attire.city),
            "location": _pick(_LOCATIONS, attire.city),
            "merchant_category": _pick(_CODES, np.where(flows.merchant >= 0, category, -1)),
            "channel": _pick(_texts(CHANNELS), attire.channel),
            "outcome": _pick(_OUTCOMES, attire.declined.astype(np.int64)),
            "user_created_at": self.world.created_at[flows.user],
            "fraud": pa.array(fraud == 1, mask=fraud < 0),
            "label_known_at": pa.array(known_at, mask=fraud < 0),
            "ring_id": _pick(self.rings, flows.ring),
            "ring_kind": _pick(self.kinds, flows.ring),
        }
        return pa.table(columns, schema=TRANSACTION_SCHEMA)

    def look_alikes(self, flows: Flows, first: int) -> pa.Table:
        """Rows of `LOOK_ALIKE_SCHEMA`, of those of these rows that are in such a group."""
        rows = np.flatnonzero((flows.group >= 0) & (flows.ring < 0))
        kind, group = np.divmod(flows.group[rows], STRIDE)
        columns = [self.ids(first + rows), _pick(_texts(LOOK_ALIKES), kind), group]
        return pa.table(columns, schema=LOOK_ALIKE_SCHEMA)

    def ring_table(self, number: Ints, ring: Ints, phase: Ints, round_: Ints) -> pa.Table:
        """Every ring with its rows: their number in the world, ring, phase and round, in order."""
        rows = np.argsort(ring, kind="stable")
        bounds = np.searchsorted(ring[rows], np.arange(len(self.truth) + 1))
        spelled = self.ids(number[rows]).to_pylist()
        phases = [PHASES[i] for i in phase[rows]]
        rounds = round_[rows].tolist()
        return pa.Table.from_pylist(
            [
                {
                    "ring_id": self.rings[i].as_py(),
                    "kind": truth.kind,
                    "variant": truth.variant,
                    "members": [
                        {"user_id": self.users[user].as_py(), "role": role.value}
                        for user, role in truth.members
                    ],
                    "merchants": [self.merchants[shop].as_py() for shop in truth.merchants],
                    "transaction_ids": spelled[bounds[i] : bounds[i + 1]],
                    "phases": phases[bounds[i] : bounds[i + 1]],
                    "rounds": rounds[bounds[i] : bounds[i + 1]],
                }
                for i, truth in enumerate(self.truth)
            ],
            schema=RING_SCHEMA,
        )

    def ids(self, numbers: Ints) -> pa.Array:
        """Ids of transactions by their number in the world."""
        seed = self.world.config.seed
        return hexadecimal(permuted(numbers, bits=64, seed=seed, space=TRANSACTIONS), 16)


def name_world(world: World, truth: list[RingTruth]) -> Names:
    """Give everything in a world its name: O(world)."""
    seed = world.config.seed
    is_home = np.arange(world.ips) < world.nat_ips
    sixth = is_home & (permuted(np.arange(world.ips), bits=48, seed=seed, space=5) % 10 < 3)
    return Names(
        world=world,
        truth=truth,
        users=opaque_ids(world.users, digits=12, seed=seed, space=USERS),
        merchants=opaque_ids(len(world.market), digits=12, seed=seed, space=MERCHANTS),
        devices=opaque_ids(world.devices, digits=12, seed=seed, space=DEVICES),
        ips=addresses(sixth, seed=seed, space=ADDRESSES),
        cards=opaque_ids(world.cards, digits=12, seed=seed, space=CARDS),
        rings=opaque_ids(len(truth), digits=12, seed=seed, space=RINGS),
        kinds=_texts([ring.kind for ring in truth]),
    )


def _texts(values: list[str] | tuple[str, ...]) -> pa.Array:
    return pa.array(values, pa.large_string())


def _pick(values: pa.Array, index: Ints) -> pa.Array:
    """The value at each index, null where the index is -1."""
    return values.take(pa.array(index, mask=index < 0))


_COUNTRIES: Final = _texts([city.country for city in CITIES])
_LOCATIONS: Final = _texts([f"{city.latitude:.4f},{city.longitude:.4f}" for city in CITIES])
_CODES: Final = _texts([kind.code for kind in CATEGORIES])
_OUTCOMES: Final = _texts(["authorised", "declined"])
