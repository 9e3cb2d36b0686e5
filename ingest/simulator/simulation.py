"""The simulation: a configuration in, a labelled stream of transactions and its truth out.

Reads as: build the world, let it live, plant the rings, sort, dress, label, name.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.simulator.attire import CHANNELS, Attire, dressed
from ingest.simulator.config import SimulationConfig
from ingest.simulator.flows import PHASES, TYPES, Flows, stacked
from ingest.simulator.habits import lives
from ingest.simulator.labels import labelled
from ingest.simulator.names import addresses, decimals, hexadecimal, opaque_ids, permuted
from ingest.simulator.places import CATEGORIES, CITIES, CURRENCIES
from ingest.simulator.population import World, build_world
from ingest.simulator.rings import RingTruth, planted
from ingest.simulator.society import LOOK_ALIKES, STRIDE, dealings

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

RING_SCHEMA: Final = pa.schema(
    [
        ("ring_id", pa.large_string()),
        ("kind", pa.large_string()),
        ("members", pa.list_(pa.struct([("user_id", pa.string()), ("role", pa.string())]))),
        ("transaction_ids", pa.list_(pa.string())),
        ("phases", pa.list_(pa.string())),
        ("rounds", pa.list_(pa.int64())),
    ]
)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What was simulated.

    Attributes:
        config: What it was made from.
        transactions: One row a transaction in event-time order; columns are the wire's field
            names, then `fraud` (null where nobody knows), `label_known_at`, `ring_id` and
            `ring_kind` (the truth, also where the label is missing).
        rings: One row a ring: `ring_id, kind, members (user_id, role), transaction_ids` in
            event-time order and, parallel to them, `phases` (warm_up, burst, cash_out) and
            `rounds` (which time around a cycle; -1 for everything else).
        look_alikes: One row a transaction of a legitimate group that has the shape of a ring:
            `transaction_id, kind, group` (numbered within its kind).
        counts: Sizes of all this, by name.
    """

    config: SimulationConfig
    transactions: pa.Table
    rings: pa.Table
    look_alikes: pa.Table
    counts: dict[str, Any]


def run(config: SimulationConfig) -> Simulation:
    """Simulate: O(transactions log transactions) time, 0.6 to 1.2 KB of memory a transaction."""
    rng = np.random.default_rng(config.seed)
    # A stream of randomness for each part: another ring changes nobody's shopping.
    settling, living, plotting, dressing, labelling = rng.spawn(5)
    world = build_world(settling, config)
    evil, truth = planted(plotting, world)
    everything = stacked([*lives(living, world), *dealings(living, world), evil])
    happened = _possible(world, everything)
    attire = dressed(dressing, world, happened)
    fraud, known_at = labelled(labelling, config, happened)
    ids = hexadecimal(
        permuted(np.arange(len(happened)), bits=64, seed=config.seed, space=TRANSACTIONS), 16
    )
    names = opaque_ids(world.users, digits=12, seed=config.seed, space=USERS)
    ring_ids = opaque_ids(len(truth), digits=12, seed=config.seed, space=RINGS)
    table = _named(world, happened, attire, ids, names)
    for name, column in (
        ("fraud", pa.array(fraud == 1, mask=fraud < 0)),
        ("label_known_at", pa.array(known_at, mask=fraud < 0)),
        ("ring_id", _pick(ring_ids, happened.ring)),
        (
            "ring_kind",
            _pick(pa.array([ring.kind for ring in truth], pa.large_string()), happened.ring),
        ),
    ):
        table = table.append_column(name, column)
    look_alikes = _look_alikes(happened, ids)
    counts = _counts(world, happened, attire, fraud)
    return Simulation(
        config, table, _ring_table(happened, truth, ids, names, ring_ids), look_alikes, counts
    )


def simulate(config: SimulationConfig) -> pd.DataFrame:
    """The transactions of `run` as a frame: `fraud` boolean, `label_known_at` Int64, ids str."""
    return frame_of(run(config))


def frame_of(simulation: Simulation) -> pd.DataFrame:
    """The transactions as a frame with nullable columns for what may be unknown."""
    table = simulation.transactions
    frame: pd.DataFrame = table.drop_columns(["fraud", "label_known_at"]).to_pandas()
    place = list(frame.columns).index("ring_id")
    for name, nullable in (("label_known_at", pd.Int64Dtype()), ("fraud", pd.BooleanDtype())):
        column = table[name].to_pandas(types_mapper={table[name].type: nullable}.get)
        frame.insert(place, name, column)
    return frame


def write(config: SimulationConfig, out_dir: Path) -> Simulation:
    """Simulate into a folder: transactions, rings and look_alikes (Parquet) and world.json.

    The same configuration writes the same bytes.
    """
    simulation = run(config)
    out_dir.mkdir(parents=True, exist_ok=True)
    for name in ("transactions", "rings", "look_alikes"):
        table = getattr(simulation, name)
        pq.write_table(table, out_dir / f"{name}.parquet", compression="zstd")
    about = {"config": asdict(config), "counts": simulation.counts}
    (out_dir / "world.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return simulation


def _possible(world: World, flows: Flows) -> Flows:
    """Rows within the simulated time between accounts that exist, in event-time order.

    Rows of one instant stand in random-looking order: by a permutation of their time and user,
    so that the order in which the parts were made does not show.
    """
    other = np.where(flows.counterparty >= 0, flows.counterparty, flows.user)
    open_ = (flows.time >= world.created_at[flows.user]) & (flows.time >= world.created_at[other])
    inside = (flows.time >= world.config.start) & (flows.time < world.config.end)
    kept = flows.take(open_ & inside & (flows.counterparty != flows.user))
    tie = permuted(kept.user, bits=32, seed=world.config.seed, space=1).astype(np.int64)
    return kept.take(np.lexsort((tie, kept.time)))


def _named(world: World, flows: Flows, attire: Attire, ids: pa.Array, names: pa.Array) -> pa.Table:
    seed = world.config.seed
    is_home = np.arange(world.ips) < world.nat_ips
    sixth = is_home & (permuted(np.arange(world.ips), bits=48, seed=seed, space=5) % 10 < 3)
    merchant_city = np.maximum(flows.merchant, 0)
    category = np.where(flows.merchant >= 0, world.market.category[merchant_city], -1)
    outcome = pa.array(["authorised", "declined"], pa.large_string())
    columns = {
        "transaction_id": ids,
        "timestamp": flows.time,
        "type": _pick(_texts([str(kind) for kind in TYPES]), flows.type),
        "amount": decimals(flows.amount),
        "currency": _pick(_texts(CURRENCIES), attire.currency),
        "user_id": _pick(names, flows.user),
        "counterparty_id": _pick(names, flows.counterparty),
        "merchant_id": _pick(
            opaque_ids(len(world.market), digits=12, seed=seed, space=MERCHANTS),
            flows.merchant,
        ),
        "device_id": _pick(
            opaque_ids(world.devices, digits=12, seed=seed, space=DEVICES), attire.device
        ),
        "ip_address": _pick(addresses(sixth, seed=seed, space=ADDRESSES), attire.ip),
        "card_id": _pick(opaque_ids(world.cards, digits=12, seed=seed, space=CARDS), attire.card),
        "country": _pick(_texts([city.country for city in CITIES]), attire.city),
        "location": _pick(
            _texts([f"{city.latitude:.4f},{city.longitude:.4f}" for city in CITIES]),
            attire.city,
        ),
        "merchant_category": _pick(_texts([kind.code for kind in CATEGORIES]), category),
        "channel": _pick(_texts(CHANNELS), attire.channel),
        "outcome": outcome.take(pa.array(attire.declined.astype(np.int64))),
        "user_created_at": world.created_at[flows.user],
    }
    return pa.table({name: columns[name] for name in WIRE_FIELDS})


def _texts(values: list[str] | tuple[str, ...]) -> pa.Array:
    return pa.array(values, pa.large_string())


def _pick(values: pa.Array, index: Ints) -> pa.Array:
    """The value at each index, null where the index is -1."""
    return values.take(pa.array(index, mask=index < 0))


def _ring_table(
    flows: Flows, truth: list[RingTruth], ids: pa.Array, names: pa.Array, ring_ids: pa.Array
) -> pa.Table:
    rows = np.flatnonzero(flows.ring >= 0)
    rows = rows[np.argsort(flows.ring[rows], kind="stable")]
    bounds = np.searchsorted(flows.ring[rows], np.arange(len(truth) + 1))
    spelled = ids.take(pa.array(rows)).to_pylist()
    phases = [PHASES[phase] for phase in flows.phase[rows]]
    rounds = flows.round[rows].tolist()
    return pa.Table.from_pylist(
        [
            {
                "ring_id": ring_ids[i].as_py(),
                "kind": ring.kind,
                "members": [
                    {"user_id": names[user].as_py(), "role": role.value}
                    for user, role in ring.members
                ],
                "transaction_ids": spelled[bounds[i] : bounds[i + 1]],
                "phases": phases[bounds[i] : bounds[i + 1]],
                "rounds": rounds[bounds[i] : bounds[i + 1]],
            }
            for i, ring in enumerate(truth)
        ],
        schema=RING_SCHEMA,
    )


def _look_alikes(flows: Flows, ids: pa.Array) -> pa.Table:
    rows = np.flatnonzero(flows.group >= 0)
    kind, group = np.divmod(flows.group[rows], STRIDE)
    return pa.table(
        {
            "transaction_id": ids.take(pa.array(rows)),
            "kind": _pick(_texts(LOOK_ALIKES), kind),
            "group": group,
        }
    )


def _counts(world: World, flows: Flows, attire: Attire, fraud: Ints) -> dict[str, Any]:
    """Sizes; a look-alike group counts if at least two of its transactions happened."""
    honest = flows.take(flows.ring < 0)
    group, size = np.unique(honest.group[honest.group >= 0], return_counts=True)
    kinds = np.bincount(group[size >= 2] // STRIDE, minlength=len(LOOK_ALIKES))
    rings = world.config.rings
    return {
        "transactions": len(flows),
        "fraud": int((fraud == 1).sum()),
        "unlabelled": int((fraud < 0).sum()),
        "users": world.users,
        "merchants": len(world.market),
        "rings": {"cycle": rings.cycle, "mule": rings.mule, "identity": rings.identity},
        "look_alikes": dict(zip(LOOK_ALIKES, kinds.tolist(), strict=True))
        | {
            "shared_device": _shared(attire.device, flows),
            "shared_card": _shared(attire.card, flows),
            "shared_ip": _shared(attire.ip, flows),
        },
    }


def _shared(identifier: Ints, flows: Flows) -> int:
    """How many identifiers at least two users used, apart from what rings did."""
    rows = (identifier >= 0) & (flows.ring < 0)
    pairs = np.unique(identifier[rows] * (1 << 32) + flows.user[rows])
    _, users = np.unique(pairs >> 32, return_counts=True)
    return int((users >= 2).sum())
