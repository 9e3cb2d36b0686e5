"""The simulation: a configuration in, a labelled stream of transactions and its truth out.

Reads as: build the world, plant the rings, then period by period let it live, dress, label, name.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from graph.errors import InvalidSetting
from ingest.output_folder import new_files
from ingest.simulator.attire import dressed
from ingest.simulator.config import SimulationConfig
from ingest.simulator.labels import labelled
from ingest.simulator.living import happened
from ingest.simulator.naming import LOOK_ALIKE_SCHEMA, TRANSACTION_SCHEMA, name_world
from ingest.simulator.population import build_world
from ingest.simulator.rings import planted
from ingest.simulator.tally import Tally

Ints = npt.NDArray[np.int64]

MOST_IN_MEMORY: Final = 50_000_000
"""Expected rows that `run` holds at once, at 0.6 to 1.2 KB each."""
FILES: Final = ("transactions.parquet", "look_alikes.parquet", "rings.parquet", "world.json")
"""What `write` writes."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What was simulated.

    Attributes:
        config: What it was made from.
        transactions: One row a transaction in event-time order; columns are the wire's field
            names, then `fraud` (null where nobody knows), `label_known_at`, `ring_id` and
            `ring_kind` (the truth, also where the label is missing).
        rings: One row a ring: `ring_id, kind, variant, members (user_id, role; those it robs as
            victims), merchants` that belong to it, `transaction_ids` in event-time order and,
            parallel to them, `phases` (warm_up, burst, cash_out) and `rounds` (which time around
            a cycle; -1 for everything else).
        look_alikes: One row a transaction of a legitimate group that has the shape of a ring:
            `transaction_id, kind, group` (numbered within its kind).
        counts: Sizes of all this, by name.
    """

    config: SimulationConfig
    transactions: pa.Table
    rings: pa.Table
    look_alikes: pa.Table
    counts: dict[str, Any]


class Making:
    """A simulation in the making: the world and its rings, then one period after the other.

    Memory: the world, its rings and one period, whatever the number of transactions.
    """

    def __init__(self, config: SimulationConfig) -> None:
        # A stream of randomness for each part: another ring changes nobody's shopping.
        settling, self._living, plotting, self._dressing, self._labelling = np.random.default_rng(
            config.seed
        ).spawn(5)
        self._world = build_world(settling, config)
        self._plot = planted(plotting, self._world)
        self._world.asleep_until[self._plot.asleep] = self._plot.until
        self._names = name_world(self._world, self._plot.truth)
        self._tally = Tally(self._world)
        self._of_rings: list[Ints] = []

    def periods(self) -> Iterator[tuple[pa.Table, pa.Table]]:
        """(transactions, look-alikes) of one period after the other, once."""
        first = 0
        for flows, still_open in happened(self._living, self._world, self._plot.flows):
            attire = dressed(self._dressing.spawn(1)[0], self._world, flows)
            fraud, known_at = labelled(self._labelling.spawn(1)[0], self._world.config, flows)
            self._tally.count(flows, attire, fraud, still_open)
            guilty = np.flatnonzero(flows.ring >= 0)
            truth = (first + guilty, flows.ring[guilty], flows.phase[guilty], flows.round[guilty])
            self._of_rings.append(np.stack(truth))
            table = self._names.transactions(flows, attire, fraud, known_at, first)
            yield table, self._names.look_alikes(flows, first)
            first += len(flows)

    def rings(self) -> pa.Table:
        """Every ring, with what happened so far."""
        return self._names.ring_table(*np.concatenate(self._of_rings, axis=1))

    def counts(self) -> dict[str, Any]:
        """Sizes of what happened so far, by name."""
        return self._tally.figures()


def run(config: SimulationConfig) -> Simulation:
    """Simulate in memory: O(n log n) time in transactions, 0.6 to 1.2 KB of memory each.

    Raises:
        InvalidSetting: More than `MOST_IN_MEMORY` rows are to be expected; `write` has no such
            bound.
    """
    if config.expected > MOST_IN_MEMORY:
        raise InvalidSetting(
            f"more than {MOST_IN_MEMORY} expected transactions do not fit in memory",
            field="days x users",
            value=str(config.expected),
            remedy="Write them to files, or choose fewer days or users",
        )
    making = Making(config)
    transactions, look_alikes = zip(*making.periods(), strict=True)
    return Simulation(
        config,
        pa.concat_tables(transactions).combine_chunks(),
        making.rings(),
        pa.concat_tables(look_alikes).combine_chunks(),
        making.counts(),
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


def write(config: SimulationConfig, out_dir: Path, *, field: str = "out_dir") -> dict[str, Any]:
    """Simulate into a folder: transactions, rings and look_alikes (Parquet) and world.json.

    Every period is written when it is over, as a row group, so memory does not grow with the
    number of transactions. The same configuration writes the same bytes. The files are moved into
    the folder when all are whole, `world.json` last; before that, what was there stays.

    Args:
        config: The world.
        out_dir: Where to; made where it is missing.
        field: What names `out_dir` to the person: an option.

    Returns:
        The sizes of everything, by name (`Simulation.counts`).

    Raises:
        InvalidSetting: The folder cannot be written.
    """
    with new_files(out_dir, FILES, field=field) as folder:
        making = Making(config)
        with ExitStack() as files:
            transactions, look_alikes = (
                files.enter_context(pq.ParquetWriter(folder / name, schema, compression="zstd"))
                for name, schema in (
                    ("transactions.parquet", TRANSACTION_SCHEMA),
                    ("look_alikes.parquet", LOOK_ALIKE_SCHEMA),
                )
            )
            for happened_, alike in making.periods():
                transactions.write_table(happened_)
                look_alikes.write_table(alike)
        pq.write_table(making.rings(), folder / "rings.parquet", compression="zstd")
        about = {"config": config.as_record(), "counts": making.counts()}
        (folder / "world.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return making.counts()
