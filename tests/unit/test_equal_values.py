"""What equals what in a mapping: conditions, labels, listed values and joins."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.datasets import read
from ingest.tables import InvalidDataset
from tests.mapped_files import LABEL, ROWS, mapping, of, of_table


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("equals = 1", ["b", "c", "d"]),
        ('equals = "1"', ["b", "c", "d"]),
        ("equals = 1.0", ["b", "c", "d"]),
        ('equals_column = "y"', ["a", "c", "d"]),
        ("is_null = true", ["a", "b", "d"]),
        ("is_null = false", ["c"]),
    ],
)
@pytest.mark.parametrize("numbers", [pa.int64(), pa.float64(), pa.string()])
def test_conditions_compare_by_text_and_null_equals_nothing(
    tmp_path: Path, condition: str, kept: list[str], numbers: pa.DataType
):
    found = mapping(f"[[drop]]\nwhen = [{{ column = 'x', {condition} }}]\n", files="*.parquet")
    history = of_table(
        tmp_path,
        found,
        t=["2024-01-01"] * 4,
        a=[1] * 4,
        u=["a", "b", "c", "d"],
        v=["v"] * 4,
        x=pa.array([1, 2, None, 3]).cast(numbers),
        y=pa.array([2, 2, None, 5]),
    )
    assert [each.transaction.user_id for each in history] == kept


ALIKE = [
    ("1", "0", "1"),
    (1, "0.0", "1.0"),
    ("1.0", 0, "1.00"),
    (True, "false", "True"),
    ("true", False, "TRUE"),
    (2.5, "0", "2.50"),
    (0, "1", "-0.0"),
]


def quoted(value: object) -> str:
    return json.dumps(value)


@pytest.mark.parametrize(("equals", "other", "written"), ALIKE)
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_value_equals_however_it_is_written(
    tmp_path: Path, equals: object, other: object, written: str, suffix: str
):
    cells = [written, "x", None, "0.5"]  # "x" keeps the column from being one of whole numbers
    fixed = {"t": "2024-01-01", "a": 1, "v": "v"}
    records = [{**fixed, "u": f"u{n}", "x": cell} for n, cell in enumerate(cells)]
    file = tmp_path / f"rows.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(records), file)
    elif suffix == "jsonl":
        file.write_text("\n".join(map(json.dumps, records)))
    else:
        rows = [",".join("" if v is None else str(v) for v in r.values()) for r in records]
        file.write_text("\n".join(["t,a,v,u,x", *rows]))
    drop = f"[[drop]]\nwhen = [{{ column = 'x', equals = {quoted(equals)} }}]\n"
    kept = list(read(tmp_path, mapping(drop, files=file.name)))
    assert [each.transaction.user_id for each in kept] == ["u1", "u2", "u3"]
    label = (
        f'[label]\ncolumn = "x"\nfraud = [{quoted(equals)}]\nlegitimate = [{quoted(other)}]\n'
        'unknown = ["x", 0.50]\ndelay = "1d"\n'
    )
    found = list(read(tmp_path, mapping(label, files=file.name)))
    assert [each.fraud for each in found] == [True, None, None, None]
    ring = f'[ring]\ncolumn = "x"\nnone = [{quoted(equals)}]\n'
    found = list(read(tmp_path, mapping(ring, files=file.name)))
    assert [each.ring_id for each in found] == [None, "x", None, "0.5"]
    meanings = f'{quoted(str(equals))} = "yes", x = "no", "0.50" = "half"'
    values = f'{{ column = "x", values = {{ {meanings} }} }}'
    found = list(read(tmp_path, mapping(files=file.name, channel=values)))
    assert [each.transaction.channel for each in found] == ["yes", "no", None, "half"]


@pytest.mark.parametrize("number", ["1.0", "1", "10e-1"])
def test_numbers_of_json_equal_however_they_are_written(tmp_path: Path, number: str):
    line = '{"t": "2024-01-01", "a": 1, "u": %s, "v": "007", "x": %s}'
    (tmp_path / "rows.jsonl").write_text(line % (number, number))
    label = LABEL.replace('"l"', '"x"')
    (found,) = read(tmp_path, mapping(label, files="*.jsonl"))
    assert (found.fraud, found.transaction.user_id) == (True, "1")
    assert found.transaction.counterparty_id == "007"


def test_an_id_of_text_stays_as_it_is_written(tmp_path: Path):
    ids = ["007", "1e5", "5.0", "5.10", "True", "5"]
    rows = "t,a,u,v\n" + "".join(f"2024-01-01,1,{each},v\n" for each in ids)
    assert [each.transaction.user_id for each in of(tmp_path, rows)] == ids
    (tmp_path / "rows.csv").unlink()
    lines = [{"t": "2024-01-01", "a": 1, "u": each, "v": "v"} for each in ids]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = read(tmp_path, mapping(files="*.jsonl"))
    assert [each.transaction.user_id for each in found] == ids


def test_whole_numbers_with_gaps_are_whole_numbers(tmp_path: Path):
    """Pandas writes an integer column with gaps as 1001.0: the same accounts as 1001."""
    rows = "t,a,u,v,k\n2024-01-01,1,1001,1002.0,\n2024-01-01,2,1002,,M\n"
    kinds = mapping(
        type='{ constant = "refund" }', merchant_id='"k"', counterparty_id='{ column = "v" }'
    )
    found = of(tmp_path, rows, kinds)
    assert [each.transaction.counterparty_id for each in found] == ["1002", None]
    odd = of(tmp_path, rows.replace("2,1002,,M", "2,1002,0x1,"), kinds)
    assert [each.transaction.counterparty_id for each in odd] == ["1002.0", "0x1"]


def test_a_join_finds_keys_however_they_are_written(tmp_path: Path):
    (tmp_path / "devices.jsonl").write_text(
        '{"who": 1, "device": "d"}\n{"who": "x", "device": "e"}'
    )
    join = '[[join]]\nfile = "devices.jsonl"\non = { k = "who" }\ncolumns = { device = "d" }\n'
    rows = "t,a,u,v,k\n2024-01-01,1,a,b,1.0\n2024-01-01,1,b,c,x\n2024-01-01,1,b,c,01\n"
    found = of(tmp_path, rows, mapping(join, device_id='"d"'))
    assert [each.transaction.device_id for each in found] == ["d", "e", None]


def test_a_join_brings_columns_of_another_file(tmp_path: Path):
    (tmp_path / "devices.jsonl").write_text('{"who": "a", "device": "d1"}\n\n{"who": "x"}\n')
    join = '[[join]]\nfile = "devices.jsonl"\non = { u = "who" }\ncolumns = { device = "d" }\n'
    found = of(tmp_path, ROWS, mapping(join, device_id='"d"'))
    assert [each.transaction.device_id for each in found] == ["d1", None]
    (tmp_path / "devices.jsonl").write_text('{"who": "a", "device": 1}\n{"who": "a", "device": 2}')
    with pytest.raises(InvalidDataset, match="occurs once"):
        of(tmp_path, ROWS, mapping(join, device_id='"d"'))


def test_a_prefix_goes_before_what_a_value_means(tmp_path: Path):
    users = mapping(user_id='{ column = "u", prefix = "acc-", values = { a = "1", b = "2" } }')
    assert [each.transaction.user_id for each in of(tmp_path, ROWS, users)] == ["acc-1", "acc-2"]
