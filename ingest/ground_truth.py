"""Ground truth beside a data set: `rings.parquet` and `look_alikes.parquet`, where they are.

`ringfence simulate` writes them (docs/simulator.md); columns it did not write once (`variant`,
`merchants`) may be missing.
"""

from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from graph.transaction import Entity, EntityKind
from ingest.tables import InvalidDataset
from scorer.ground_truth import PLAIN, GroundTruth, LookAlike, RingFacts

RINGS: Final = "rings.parquet"
LOOK_ALIKES: Final = "look_alikes.parquet"


def find_ground_truth(folder: Path) -> GroundTruth | None:
    """What a folder knows beyond labels; None where it has neither file.

    Raises:
        InvalidDataset: A file cannot be read or lacks a column.
    """
    names = tuple(name for name in (RINGS, LOOK_ALIKES) if (folder / name).is_file())
    if not names:
        return None
    return GroundTruth(
        rings=_rings(folder) if RINGS in names else {},
        look_alikes=_look_alikes(folder) if LOOK_ALIKES in names else (),
        files=names,
    )


def _rings(folder: Path) -> dict[str, RingFacts]:
    wanted = ("ring_id", "kind", "variant", "members", "merchants")
    rows = _read(folder / RINGS, wanted, required=("ring_id", "kind")).to_pylist()
    return {
        row["ring_id"]: RingFacts(row["kind"], row.get("variant") or PLAIN, _members(row))
        for row in rows
    }


def _members(row: dict[str, Any]) -> frozenset[Entity] | None:
    """Users and merchants; without a list of merchants, nobody said which shops belong to it."""
    users, merchants = row.get("members"), row.get("merchants")
    if users is None or merchants is None:
        return None
    found = [Entity(EntityKind.USER, member["user_id"]) for member in users]
    found += [Entity(EntityKind.MERCHANT, merchant) for merchant in merchants]
    return frozenset(found) or None


def _look_alikes(folder: Path) -> tuple[LookAlike, ...]:
    columns = ("transaction_id", "kind", "group")
    table = _read(folder / LOOK_ALIKES, columns, required=columns)
    table = table.sort_by([("kind", "ascending"), ("group", "ascending")])
    keys = zip(table["kind"].to_pylist(), table["group"].to_pylist(), strict=True)
    rows = zip(keys, table["transaction_id"].to_pylist(), strict=True)
    return tuple(
        LookAlike(kind, tuple(transaction_id for _, transaction_id in group))
        for (kind, _), group in groupby(rows, key=lambda row: row[0])
    )


def _read(path: Path, wanted: tuple[str, ...], *, required: tuple[str, ...]) -> Any:
    try:
        there = pq.read_schema(path).names
        missing = [name for name in required if name not in there]
        if missing:
            raise InvalidDataset(
                "a column of the ground truth is missing",
                field=path.name,
                value=", ".join(missing),
                remedy="Simulate the folder again, or take the file away.",
            )
        return pq.read_table(path, columns=[name for name in wanted if name in there])
    except (OSError, pa.ArrowException) as error:
        raise InvalidDataset(
            f"the ground truth cannot be read: {error}",
            field=path.name,
            remedy="Simulate the folder again, or take the file away.",
        ) from None
