"""What lies beside a data set is found, read, and refused with its place where it is broken."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graph.transaction import Entity, EntityKind
from ingest.ground_truth import find_ground_truth
from ingest.simulator import SimulationConfig, write
from ingest.tables import InvalidDataset
from scorer.ground_truth import LookAlike, RingFacts


def test_a_folder_of_the_world_outside_has_none(tmp_path):
    assert find_ground_truth(tmp_path) is None


def test_what_the_simulator_writes_is_read(tmp_path):
    write(SimulationConfig(seed=5, days=4, users=120), tmp_path)
    truth = find_ground_truth(tmp_path)
    assert truth.files == ("rings.parquet", "look_alikes.parquet")
    rings = pq.read_table(tmp_path / "rings.parquet").to_pylist()
    assert {ring["ring_id"]: ring["kind"] for ring in rings} == {
        ring_id: facts.kind for ring_id, facts in truth.rings.items()
    }
    rows = pq.read_table(tmp_path / "look_alikes.parquet").to_pylist()
    assert sum(len(group.transaction_ids) for group in truth.look_alikes) == len(rows)
    groups = {(row["kind"], row["group"]) for row in rows}
    assert len(truth.look_alikes) == len(groups)
    first = truth.look_alikes[0]
    assert set(first.transaction_ids) in (
        {row["transaction_id"] for row in rows if (row["kind"], row["group"]) == key}
        for key in groups
        if key[0] == first.kind
    )


def test_variants_and_members_are_read_where_they_are_told(tmp_path):
    rings = [
        {
            "ring_id": "r1",
            "kind": "mule",
            "variant": "split",
            "members": [{"user_id": "ann", "role": "mule"}],
            "merchants": ["shop"],
        },
        {"ring_id": "r2", "kind": "cycle", "variant": None, "members": None, "merchants": None},
    ]
    pq.write_table(pa.Table.from_pylist(rings), tmp_path / "rings.parquet")
    truth = find_ground_truth(tmp_path)
    members = frozenset({Entity(EntityKind.USER, "ann"), Entity(EntityKind.MERCHANT, "shop")})
    assert truth.rings == {
        "r1": RingFacts("mule", "split", members),
        "r2": RingFacts("cycle", "plain", None),
    }
    assert truth.look_alikes == ()
    assert truth.files == ("rings.parquet",)


def test_groups_are_told_apart_by_kind_and_number(tmp_path):
    rows = [("t1", "rent", 0), ("t2", "payroll", 0), ("t3", "rent", 0), ("t4", "rent", 1)]
    names = ("transaction_id", "kind", "group")
    table = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])
    pq.write_table(table, tmp_path / "look_alikes.parquet")
    assert find_ground_truth(tmp_path).look_alikes == (
        LookAlike("payroll", ("t2",)),
        LookAlike("rent", ("t1", "t3")),
        LookAlike("rent", ("t4",)),
    )


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "rings.parquet").write_bytes(b"no")
    with pytest.raises(InvalidDataset, match=r"rings\.parquet: the ground truth cannot be read"):
        find_ground_truth(tmp_path)
    pq.write_table(pa.table({"ring_id": ["r"]}), tmp_path / "rings.parquet")
    with pytest.raises(InvalidDataset, match=r"rings\.parquet: .*found kind"):
        find_ground_truth(tmp_path)
