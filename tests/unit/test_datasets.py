import doctest
import gzip
import json
import os
import re
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graph.transaction import DAY, HOUR, EntityKind, Location, Money, Outcome, TransactionType
from ingest import cell_text, codec, datasets, fields, file_formats
from ingest.columns import read_times
from ingest.currencies import RateTable
from ingest.datasets import count, read
from ingest.mapping import DatasetMapping, InvalidMapping, Source, load_mapping, parse_mapping
from ingest.tables import InvalidDataset, SourceTable
from scorer.history import LabelledTransaction

PUBLIC = Path(os.environ.get("RINGFENCE_DATA", Path(__file__).parents[3] / "shared" / "data"))
PAGE = Path(__file__).parents[2] / "docs" / "mapping.md"

needs_public_data = pytest.mark.skipif(
    not PUBLIC.is_dir(), reason="the public data is not here; set RINGFENCE_DATA to its folder"
)

FIELDS = {
    "timestamp": '{ column = "t", time = "iso", zone = "UTC" }',
    "type": '{ constant = "transfer" }',
    "amount": '"a"',
    "currency": '{ constant = "EUR" }',
    "user_id": '"u"',
    "counterparty_id": '"v"',
}
ROW = {"a": [1], "u": ["u"], "v": ["v"]}
ROWS = "t,a,u,v\n2024-01-01T00:00:00,1.50,a,b\n2024-01-01T01:00:00,2,b,c\n"


def mapping(extra: str = "", files: str = "*.csv", **changes: str) -> DatasetMapping:
    lines = [f"{name} = {source}" for name, source in {**FIELDS, **changes}.items() if source]
    return parse_mapping(f'files = ["{files}"]\n[fields]\n' + "\n".join(lines) + "\n" + extra, "m")


def of(folder: Path, text: str, found: DatasetMapping | None = None) -> list[LabelledTransaction]:
    (folder / "rows.csv").write_text(text, encoding="utf-8")
    return list(read(folder, found or mapping()))


def of_table(folder: Path, found: DatasetMapping, **columns: object) -> list[LabelledTransaction]:
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return list(read(folder, found))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


class TestThePage:
    """`docs/mapping.md`: what a stranger copies works, and errors read as the page says."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "payments.csv").write_text(blocks("csv")[0])
        return tmp_path

    def test_the_example_gives_what_it_says(self, folder: Path):
        found = parse_mapping(blocks("toml")[0], "payments")
        history = list(read(folder, found))
        assert len(history) == count(folder, found) == 4
        first, second, _, last = history
        tx = first.transaction
        assert json.loads(blocks("json")[0]) == {
            "transaction_id": tx.transaction_id,
            "timestamp": tx.timestamp,
            "type": tx.type.value,
            "amount": tx.amount.minor,
            "user_id": tx.user_id,
            "merchant_id": tx.merchant_id,
            "fraud": first.fraud,
            "known_at": first.known_at,
        }
        assert (second.ring_id, second.fraud) == ("C-1", True)
        assert (last.fraud, last.known_at, last.ring_id) == (None, None, None)

    def test_the_errors_read_as_shown(self, folder: Path):
        toml = blocks("toml")[0]
        csv = folder / "payments.csv"
        shown = blocks("text")[0].splitlines()
        csv.write_text(csv.read_text().replace("900.00", '"900,00"'))
        with pytest.raises(InvalidDataset) as wrong_amount:
            read(folder, parse_mapping(toml, "payments"))
        csv.write_text(blocks("csv")[0])
        with pytest.raises(InvalidDataset) as wrong_kind:
            read(folder, parse_mapping(toml.replace('equals = "X"', 'equals = "Y"'), "payments"))
        with pytest.raises(InvalidMapping) as wrong_key:
            parse_mapping(toml.replace("[label]", "[lable]"), "payments")
        with pytest.raises(InvalidDataset) as wrong_column:
            read(folder, parse_mapping(toml.replace('"kind"', '"kid"'), "payments"))
        errors = (wrong_amount, wrong_kind, wrong_key, wrong_column)
        assert [str(error.value) for error in errors] == shown

    def test_it_lists_every_key(self):
        page = PAGE.read_text()
        for name in DatasetMapping.__struct_fields__:
            if name != "name":
                pattern = rf"^\| `\[*{name}\]*` \|"
                assert re.search(pattern, page, re.MULTILINE), name


@pytest.mark.parametrize("module", [cell_text, file_formats])
def test_what_the_modules_show(module: ModuleType):
    assert doctest.testmod(module).failed == 0


def test_rows_come_in_the_order_of_time_and_ties_in_that_of_the_files(tmp_path: Path):
    rows = "t,a,u,v\n" + "".join(
        f"2024-01-0{day}T00:00:00Z,1,u{n},v\n" for n, day in enumerate([3, 1, 2, 1, 3])
    )
    found = of(tmp_path, rows)
    assert [each.transaction.user_id for each in found] == ["u1", "u3", "u2", "u0", "u4"]
    assert [each.transaction.transaction_id for each in found] == [
        "m-2",
        "m-4",
        "m-3",
        "m-1",
        "m-5",
    ]


def test_many_chunks_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = "t,a,u,v\n" + "".join(f"2024-01-01T00:00:{n:02},1,u{n},v\n" for n in range(20))
    whole = of(tmp_path, rows)
    monkeypatch.setattr(datasets, "_CHUNK", 7)
    assert of(tmp_path, rows) == whole


def test_several_files_are_read_in_order_of_name(tmp_path: Path):
    for name, user in (("b.csv", "second"), ("a.csv", "first")):
        (tmp_path / name).write_text(f"t,a,u,v\n2024-01-01,1,{user},v\n")
    assert [each.transaction.user_id for each in read(tmp_path, mapping())] == ["first", "second"]
    (tmp_path / "b.csv").write_text("t,a,u,v\n2024-01-01,1,x,v\n2024-01-01,-1,x,v\n")
    with pytest.raises(InvalidDataset, match=r"row 2 of b\.csv"):
        read(tmp_path, mapping())


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ('{ column = "t" }', "2024-01-01T01:00:00+01:00", "2024-01-01T00:00:00Z"),
        ('{ column = "t" }', "1704067200000", "2024-01-01T00:00:00Z"),
        ('{ column = "t", time = "iso" }', "2024-01-01T01:00+01:00", "2024-01-01T00:00:00Z"),
        (
            '{ column = "t", time = "iso", zone = "Europe/Berlin" }',
            "2024-07-01 02:00:00",
            "2024-07-01T00:00:00Z",
        ),
        (
            '{ column = "t", time = "pattern", pattern = "%d.%m.%y %H:%M", zone = "UTC" }',
            "01.02.24 03:04",
            "2024-02-01T03:04:00Z",
        ),
        ('{ column = "t", time = "epoch_s" }', "1704067200.25", "2024-01-01T00:00:00.250Z"),
        ('{ column = "t", time = "epoch_ms" }', "1704067200001", "2024-01-01T00:00:00.001Z"),
        (
            '{ column = "t", time = "seconds", origin = 2024-01-01 }',
            "90",
            "2024-01-01T00:01:30Z",
        ),
        (
            '{ column = "t", time = "hours", origin = 2024-01-01T00:00:00Z }',
            "5",
            "2024-01-01T05:00:00Z",
        ),
        ('{ column = "t", time = "days", origin = 2024-01-01 }', "1.5", "2024-01-02T12:00:00Z"),
        ('{ column = "t", time = "days", origin = 2024-01-01 }', "-1", "2023-12-31T00:00:00Z"),
    ],
)
def test_times_as_text_and_as_numbers(tmp_path: Path, source: str, text: str, expected: str):
    csv = f"t,a,u,v\n{text},1,u,v\n"
    (found,) = of(tmp_path, csv, mapping(timestamp=source))
    instant = datetime.fromisoformat(expected)
    assert found.transaction.timestamp == round(instant.timestamp() * 1000)
    if text.lstrip("-").isdigit():
        (typed,) = of_table(
            tmp_path,
            mapping(timestamp=source, files="*.parquet"),
            t=[int(text)],
            a=[1],
            u=["u"],
            v=["v"],
        )
        assert typed.transaction.timestamp == found.transaction.timestamp


@pytest.mark.parametrize(
    ("values", "source"),
    [
        (pa.array([1_704_070_800 * 10**9], pa.timestamp("ns")), '{ column = "t", zone = "UTC" }'),
        (
            pa.array([1_704_074_400 * 10**6], pa.timestamp("us")),
            '{ column = "t", zone = "Europe/Berlin" }',
        ),
        (pa.array([1_704_070_800], pa.timestamp("s", "Asia/Tokyo")), '"t"'),
        (
            pa.array([date(2024, 1, 1)]),
            '{ column = "t", zone = "Etc/GMT+1" }',
        ),
    ],
)
def test_columns_with_a_time_type_need_at_most_a_zone(
    tmp_path: Path, values: pa.Array, source: str
):
    found = mapping(timestamp=source, files="*.parquet")
    (row,) = of_table(tmp_path, found, t=values, a=[1], u=["u"], v=["v"])
    assert row.transaction.timestamp == 1_704_067_200_000 + HOUR


@pytest.mark.parametrize(
    ("source", "value", "what"),
    [
        ('"t"', "2024-01-01", "not a time of RFC 3339"),
        ('"t"', "1704067200", "epoch seconds"),
        ('"t"', 1704067200, "epoch seconds"),
        ('"t"', 10**18, "micro- or nanoseconds"),
        ('{ column = "t", time = "iso" }', "2024-01-01T00:00:00", "names no zone"),
        ('{ column = "t", time = "iso", zone = "Mars" }', "2024-01-01", "no such time zone"),
        ('{ column = "t", time = "iso", zone = "UTC" }', "01/02/2024", "not a time of ISO 8601"),
        ('{ column = "t", time = "iso", zone = "UTC" }', "9999-01-01", "outside the years"),
        (
            '{ column = "t", time = "pattern", pattern = "%d", zone = "UTC" }',
            "x",
            "not a time of the pattern %d",
        ),
        ('{ column = "t", time = "epoch_s" }', "yesterday", "not a number"),
        ('{ column = "t", time = "epoch_s" }', 1704067200000, "looks like epoch milliseconds"),
        ('{ column = "t", time = "epoch_s" }', "1704067200000", 'Set time = "epoch_ms"'),
        ('{ column = "t", time = "epoch_s" }', 1704067200000.5, "looks like epoch milliseconds"),
        ('{ column = "t", time = "epoch_s" }', 10**11 - 1, "outside the years"),
        ('{ column = "t", time = "epoch_ms" }', 1709281000, "looks like epoch seconds"),
        ('{ column = "t", time = "epoch_ms" }', "1709281000", 'Set time = "epoch_s"'),
        ('{ column = "t", time = "epoch_ms" }', 1709281000.5, "looks like epoch seconds"),
        ('"t"', 1709281000, 'Set time = "epoch_s"'),
        ('"t"', "2024-03-31T02:30:00", 'Set time = "iso" and zone = "UTC"'),
        ('{ column = "t", zone = "Asia/Tokyo" }', "2024-03-31T02:30:00", 'set time = "iso"'),
        ('{ column = "t", zone = "Asia/Tokyo" }', 1704067200000, "take zone out"),
        ('{ column = "t", time = "days", origin = 2024-01-01 }', 10**15, "outside the years"),
        ('{ column = "t", time = "days", origin = 2024-01-01 }', -(10**6), "outside the years"),
        ('"t"', date(2024, 1, 1), "no time zone"),
        ('{ column = "t", zone = "UTC" }', date(2300, 1, 1), "outside the years"),
        ('{ column = "t", zone = "UTC" }', None, "there is no value"),
    ],
)
def test_a_time_that_is_none_says_where(tmp_path: Path, source: str, value: object, what: str):
    found = mapping(timestamp=source, files="*.parquet")
    with pytest.raises(InvalidDataset, match=re.escape(what)) as caught:
        of_table(tmp_path, found, t=[value], a=[1], u=["u"], v=["v"])
    assert 'column "t", row 1 of rows.parquet' in str(caught.value)
    assert caught.value.field == "timestamp"


PATTERN = '{ column = "t", time = "pattern", pattern = "%Y%m%d", zone = "Europe/Berlin" }'


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.uint64(), pa.float64(), pa.string()])
def test_a_pattern_reads_the_digits_of_numbers(tmp_path: Path, kind: pa.DataType):
    days = pa.array([20240101, 20240702]).cast(kind)
    columns = {"a": [1, 1], "u": ["u", "u"], "v": ["v", "v"]}
    found = of_table(tmp_path, mapping(timestamp=PATTERN, files="*.parquet"), t=days, **columns)
    assert [fields.rfc_3339(each.transaction.timestamp) for each in found] == [
        "2023-12-31T23:00:00.000Z",
        "2024-07-01T22:00:00.000Z",
    ]


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (PATTERN.replace("%Y%m%d", "%Y%m"), "not a time of the pattern %Y%m"),
        (PATTERN.replace("%Y%m%d", "%d%m%Y"), "numbers have no zeros in front"),
        (PATTERN.replace("Europe/Berlin", "Mars"), "no such time zone"),
        (PATTERN.replace(', zone = "Europe/Berlin"', ""), "names no zone"),
        ('{ column = "t", time = "iso", zone = "UTC" }', "numbers are not ISO 8601"),
    ],
)
@pytest.mark.parametrize("kind", [pa.int64(), pa.float64()])
def test_numbers_are_never_taken_for_another_form_of_time(
    tmp_path: Path, source: str, what: str, kind: pa.DataType
):
    found = mapping(timestamp=source, files="*.parquet")
    with pytest.raises(InvalidDataset, match=f'timestamp: column "t", row 1 .*{re.escape(what)}'):
        of_table(tmp_path, found, t=pa.array([20240101]).cast(kind), a=[1], u=["u"], v=["v"])


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        (pa.array([0, 2**63 + 5], pa.uint64()), "9223372036854775813"),
        (pa.array([0, 2**62], pa.timestamp("us", "UTC")), "4.612e+18 of type timestamp"),
        (pa.array([0, 2**50], pa.timestamp("s", "UTC")), "1.126e+18 of type timestamp[ms"),
        (pa.array([0, 2**62], pa.timestamp("ms")), "4.612e+18 of type timestamp"),
        (pa.array([0, -(2**62)], pa.timestamp("us", "UTC")), "-4.612e+18 of type timestamp"),
        (pa.array([0, 2**31 - 1], pa.date32()), "2.147e+09 of type date32"),
        (pa.array([0, 2**63 - 1], pa.timestamp("ns", "UTC")), "2262-04-11"),
    ],
)
def test_a_time_beyond_all_years_is_refused_as_it_is_written(
    tmp_path: Path, times: pa.Array, shown: str
):
    source = '"t"' if pa.types.is_integer(times.type) else '{ column = "t", zone = "UTC" }'
    for field, names in ("timestamp", {"timestamp": source}), ("user_created_at", {}):
        own = names or {"timestamp": PATTERN.replace('"t"', '"d"'), "user_created_at": source}
        columns = {"d": ["20240101"] * 2, "a": [1] * 2, "u": ["u"] * 2, "v": ["v"] * 2}
        with pytest.raises(InvalidDataset, match=r'column "t", row 2 of rows\.parquet') as caught:
            of_table(tmp_path, mapping(files="*.parquet", **own), t=times, **columns)
        assert caught.value.field == field
        assert shown in str(caught.value.value)


def test_times_of_the_seventies_are_no_seconds(tmp_path: Path):
    times = pa.array([1_709_281_000], pa.timestamp("ms", "UTC"))
    (row,) = of_table(tmp_path, mapping(timestamp='"t"', files="*.parquet"), t=times, **ROW)
    assert row.transaction.timestamp == 1_709_281_000


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe"])
def test_clock_changes_are_read_alike_as_text_and_as_times(zone: str):
    start = datetime(2016, 1, 1)  # noqa: DTZ001 - local time is what is tested
    local = [start + timedelta(minutes=10 * n) for n in range(6 * 24 * 366)]
    rows = np.arange(len(local))
    typed, text = (
        read_times(
            SourceTable(pa.table({"t": times}), rows, (("rows", 0),)),
            "timestamp",
            Source(column="t", time="iso", zone=zone),
        )
        for times in (local, [time.isoformat() for time in local])
    )
    assert np.array_equal(typed, text)


def test_a_time_that_the_clock_left_out_is_of_the_offset_before(tmp_path: Path):
    source = '{ column = "t", zone = "Europe/Berlin" }'
    times = pa.array([datetime(2024, 3, 31, 2, 30)], pa.timestamp("us"))  # noqa: DTZ001
    (row,) = of_table(tmp_path, mapping(timestamp=source, files="*.parquet"), t=times, **ROW)
    assert fields.rfc_3339(row.transaction.timestamp) == "2024-03-31T01:30:00.000Z"


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(2)])
def test_bytes_are_read_as_utf_8(tmp_path: Path, kind: pa.DataType):
    columns = {"t": ["2024-01-01"] * 2, "a": [1] * 2, "v": ["v"] * 2}
    whole = mapping(files="*.parquet")
    known = pa.array([b"u0", "é".encode()], pa.binary()).cast(kind)
    for users in (known, known.dictionary_encode()):
        found = of_table(tmp_path, whole, **columns, u=users)
        assert [each.transaction.user_id for each in found] == ["u0", "é"]
    with pytest.raises(InvalidDataset, match=r'column "u" of rows\.parquet.*not UTF-8'):
        of_table(tmp_path, whole, **columns, u=pa.array([b"u0", b"\xff\xfe"], kind))


@pytest.mark.parametrize(
    "users",
    [
        pa.array([["u"]]),
        pa.array([{"id": "u"}]),
        pa.array([[("k", "u")]], pa.map_(pa.string(), pa.string())),
    ],
)
@pytest.mark.parametrize("extra", ["", '[[drop]]\nwhen = [{ column = "u", equals = 1 }]\n'])
def test_a_column_of_lists_or_structs_is_refused(tmp_path: Path, users: pa.Array, extra: str):
    with pytest.raises(InvalidDataset, match=r'column "u" of rows\.parquet: .*no single text'):
        of_table(
            tmp_path, mapping(extra, files="*.parquet"), t=["2024-01-01"], a=[1], u=users, v=["v"]
        )


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path):
    what = r'column "u" of rows.*: the file has 2 columns of this name'
    with pytest.raises(InvalidDataset, match=what):
        of(tmp_path, "t,a,u,u,v\n2024-01-01,1,x,y,z\n")
    assert of(tmp_path, "t,a,u,v,w,w\n2024-01-01,1,x,y,z,z\n")
    columns = [pa.array(["2024-01-01"]), pa.array([1]), *[pa.array(["x"])] * 3]
    pq.write_table(pa.table(columns, names=["t", "a", "u", "v", "u"]), tmp_path / "rows.parquet")
    with pytest.raises(InvalidDataset, match=what):
        read(tmp_path, mapping(files="*.parquet"))


def test_a_prefix_goes_before_what_a_value_means(tmp_path: Path):
    users = mapping(user_id='{ column = "u", prefix = "acc-", values = { a = "1", b = "2" } }')
    assert [each.transaction.user_id for each in of(tmp_path, ROWS, users)] == ["acc-1", "acc-2"]


@pytest.mark.parametrize("bad", [1_704_067_200, -(10**13), 10**17])
def test_one_bad_number_among_good_times_is_found(tmp_path: Path, bad: int):
    good = [1_704_067_200_000, None, -5]  # an account may be older than the epoch
    opened = mapping(user_created_at='"o"', files="*.parquet")
    columns = {"t": ["2024-01-01"] * 4, "a": [1] * 4, "u": ["u"] * 4, "v": ["v"] * 4}
    found = of_table(tmp_path, opened, **columns, o=[*good, 5])
    assert [each.transaction.user_created_at for each in found] == [*good, 5]
    with pytest.raises(InvalidDataset, match='column "o", row 4'):
        of_table(tmp_path, opened, **columns, o=[*good, bad])


@pytest.mark.parametrize(
    ("column", "minor"),
    [
        (["12.50"], 1250),
        ([57.16], 5716),
        ([0.29], 29),
        ([12], 1200),
        (pa.array([Decimal("12.500")]), 1250),
        ([1e15 / 1e3], 10**14),
    ],
)
def test_amounts_of_any_type_are_exact(tmp_path: Path, column: object, minor: int):
    found = mapping(files="*.parquet")
    (row,) = of_table(tmp_path, found, t=["2024-01-01"], a=column, u=["u"], v=["v"])
    assert row.transaction.amount == Money(minor, "EUR")


def test_floating_point_noise_is_rounded_only_if_the_mapping_says_so(tmp_path: Path):
    columns = {
        "t": ["2024-01-01"] * 3,
        "a": [0.1 + 0.2, 0.125, 0.135],
        "u": ["u"] * 3,
        "v": ["v"] * 3,
    }
    rounding = mapping(amount='{ column = "a", round = true }', files="*.parquet")
    found = of_table(tmp_path, rounding, **columns)
    assert [each.transaction.amount.minor for each in found] == [30, 12, 14]
    with pytest.raises(InvalidDataset, match=r"0\.30000000000000004"):
        of_table(tmp_path, mapping(files="*.parquet"), **columns)


@pytest.mark.parametrize("value", [-1.5, float("inf"), 1e300])
def test_rounding_hides_no_wrong_amount(tmp_path: Path, value: float):
    rounding = mapping(amount='{ column = "a", round = true }', files="*.parquet")
    with pytest.raises(InvalidDataset, match='column "a", row 1'):
        of_table(tmp_path, rounding, t=["2024-01-01"], a=[value], u=["u"], v=["v"])


def test_currencies_of_a_column_need_rates(tmp_path: Path):
    rows = "t,a,c,u,v\n2024-01-01,10.00,USD,u,v\n2024-01-01,1000,JPY,u,v\n"
    (tmp_path / "rows.csv").write_text(rows)
    column = mapping(currency='"c"')
    with pytest.raises(InvalidDataset, match="no rates are given"):
        read(tmp_path, column)
    table = RateTable("EUR", {"USD": "0.92", "JPY": "0.0061"})
    assert [each.transaction.value for each in read(tmp_path, column, rates=table)] == [920, 610]
    with pytest.raises(InvalidDataset, match=r'column "c", row 2.*no rate to the base') as caught:
        read(tmp_path, column, rates=RateTable("EUR", {"USD": "0.92"}))
    assert caught.value.value == "JPY"


@pytest.mark.parametrize(
    ("row", "field", "what"),
    [
        ("2024-01-01,-1,x,y", "amount", "negative"),
        ("2024-01-01,1.005,x,y", "amount", "EUR has 2 decimals"),
        ("2024-01-01,,x,y", "amount", "there is no value"),
        ("2024-01-01,1,,y", "user_id", "there is no value"),
        ("2024-01-01,1,x,x", "counterparty_id", "cannot pay themselves"),
        ("2024-01-01,1,x,", "counterparty_id", "a transfer has a counterparty_id"),
        (",1,x,y", "timestamp", "there is no value"),
        (f"2024-01-01,1,{'x' * 129},y", "user_id", "longer than 128"),
    ],
)
def test_a_wrong_value_says_column_row_and_what_was_expected(
    tmp_path: Path, row: str, field: str, what: str
):
    with pytest.raises(InvalidDataset, match=re.escape(what)) as caught:
        of(tmp_path, f"{ROWS}{row}\n")
    assert caught.value.field == field
    assert "row 3 of rows.csv" in str(caught.value)
    assert caught.value.remedy


def test_rows_are_numbered_as_in_the_file_also_after_a_drop(tmp_path: Path):
    dropping = mapping('[[drop]]\nwhen = [{ column = "u", equals = "a" }]\n')
    assert [each.transaction.transaction_id for each in of(tmp_path, ROWS, dropping)] == ["m-2"]
    assert count(tmp_path, dropping) == 1
    with pytest.raises(InvalidDataset, match=r"row 3 of rows\.csv"):
        of(tmp_path, ROWS + "2024-01-01,x,y,z\n", dropping)


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


@pytest.mark.parametrize(
    ("amount", "minor"),
    [("1e3", 100_000), ("1.5E+1", 1500), ("12.50", 1250), ("1250e-2", 1250), ("0e0", 0)],
)
def test_an_amount_of_json_may_have_an_exponent(tmp_path: Path, amount: str, minor: int):
    line = f'{{"t": "2024-01-01", "a": {amount}, "u": "u", "v": "v"}}'
    (tmp_path / "rows.jsonl").write_text(line)
    (found,) = read(tmp_path, mapping(files="*.jsonl"))
    assert found.transaction.amount == Money(minor, "EUR")


@pytest.mark.parametrize("amount", ["1e300", "-1e3", "1e-3", "1e99999999999999999999"])
def test_an_exponent_hides_no_wrong_amount(tmp_path: Path, amount: str):
    line = f'{{"t": "2024-01-01", "a": {amount}, "u": "u", "v": "v"}}'
    (tmp_path / "rows.jsonl").write_text(line)
    with pytest.raises(InvalidDataset, match='amount: column "a", row 1'):
        read(tmp_path, mapping(files="*.jsonl"))


def test_rounding_takes_text_as_floating_point_is_written(tmp_path: Path):
    rounding = mapping(amount='{ column = "a", round = true }')
    cells = ["1.23e2", "0.30000000000000004", "5e-324", "1E+3"]
    rows = "t,a,u,v\n" + "".join(f"2024-01-01,{cell},u,v\n" for cell in cells)
    found = of(tmp_path, rows, rounding)
    assert [each.transaction.amount.minor for each in found] == [12_300, 30, 0, 100_000]
    with pytest.raises(InvalidDataset, match="not a decimal number"):
        of(tmp_path, rows)
    with pytest.raises(InvalidDataset, match='column "a", row 1'):
        of(tmp_path, "t,a,u,v\n2024-01-01,1e300,u,v\n", rounding)


def test_a_join_brings_columns_of_another_file(tmp_path: Path):
    (tmp_path / "devices.jsonl").write_text('{"who": "a", "device": "d1"}\n\n{"who": "x"}\n')
    join = '[[join]]\nfile = "devices.jsonl"\non = { u = "who" }\ncolumns = { device = "d" }\n'
    found = of(tmp_path, ROWS, mapping(join, device_id='"d"'))
    assert [each.transaction.device_id for each in found] == ["d1", None]
    (tmp_path / "devices.jsonl").write_text('{"who": "a", "device": 1}\n{"who": "a", "device": 2}')
    with pytest.raises(InvalidDataset, match="occurs once"):
        of(tmp_path, ROWS, mapping(join, device_id='"d"'))


LABEL = '[label]\ncolumn = "l"\nfraud = [1]\nlegitimate = [0]\nunknown = [2]\ndelay = "1d"\n'


def test_labels_are_known_after_their_delay(tmp_path: Path):
    rows = "t,a,u,v,l\n" + "".join(f"2024-01-01,1,u,v,{label}\n" for label in ("1", "0", "2", ""))
    found = of(tmp_path, rows, mapping(LABEL))
    assert [each.fraud for each in found] == [True, False, None, None]
    known = found[0].transaction.timestamp + DAY
    assert [each.known_at for each in found] == [known, known, None, None]
    with pytest.raises(InvalidDataset, match=r"label.*row 5.*one of 1, 0, 2 \(found 3\)"):
        of(tmp_path, rows + "2024-01-01,1,u,v,3\n", mapping(LABEL))


KNOWN = LABEL.replace('delay = "1d"', 'known_at = { column = "k", time = "iso", zone = "UTC" }')


def test_labels_are_known_at_the_time_of_a_column(tmp_path: Path):
    head = "t,a,u,v,l,k\n"
    rows = ("1,2024-01-03", "0,2024-01-02", "2,", ",2023-01-01")
    good = head + "".join(f"2024-01-02,1,u,v,{row}\n" for row in rows)
    found = of(tmp_path, good, mapping(KNOWN))
    at = found[0].transaction.timestamp
    assert [(each.fraud, each.known_at) for each in found] == [
        (True, at + DAY),
        (False, at),
        (None, None),
        (None, None),
    ]
    for row, what in (
        ("0,", "no time at which it became known"),
        ("1,2024-01-01T23:59:59.999", r"before its transaction \(2024-01-02T00:00:00"),
    ):
        with pytest.raises(InvalidDataset, match=rf'column "k", row 5 .*{what}') as caught:
            of(tmp_path, f"{good}2024-01-02,1,u,v,{row}\n", mapping(KNOWN))
        assert caught.value.field == "label_known_at"


def test_rings_and_the_values_that_mean_none(tmp_path: Path):
    rows = "t,a,u,v,r\n" + "".join(f"2024-01-01,1,u,v,{ring}\n" for ring in ("7", "-1", "", "x"))
    found = of(tmp_path, rows, mapping('[ring]\ncolumn = "r"\nnone = [-1]\n'))
    assert [each.ring_id for each in found] == ["7", None, None, "x"]
    assert all(each.fraud is None and each.known_at is None for each in found)


def test_addresses_as_numbers_and_as_names(tmp_path: Path):
    rows = "t,a,u,v,i\n2024-01-01,1,u,v,3221225985.7\n"
    (number,) = of(tmp_path, rows, mapping(ip_address='{ column = "i", ip = "integer" }'))
    assert number.transaction.ip_address == "192.0.2.1"
    with pytest.raises(InvalidDataset, match="IPv4 address as an integer"):
        of(
            tmp_path,
            rows.replace("3221225985.7", "-4"),
            mapping(ip_address='{ column = "i", ip = "integer" }'),
        )
    named = mapping(ip_address='{ column = "i", ip = "name" }')
    (place,) = of(tmp_path, rows.replace("3221225985.7", "L100"), named)
    assert place.transaction.ip_address is not None
    assert place.transaction.ip_address.startswith("fd")
    assert [each.kind for each in place.transaction.identifiers] == [EntityKind.IP]


def test_a_card_number_is_refused_and_never_shown(tmp_path: Path):
    rows = "t,a,u,v,c\n2024-01-01,1,u,v,4111 1111 1111 1111\n"
    with pytest.raises(InvalidDataset, match="raw card number") as caught:
        of(tmp_path, rows, mapping(card_id='"c"'))
    assert "4111" not in str(caught.value)


def test_an_account_opened_after_the_transaction_is_refused(tmp_path: Path):
    opened = mapping(user_created_at='{ column = "o", time = "iso", zone = "UTC" }')
    rows = "t,a,u,v,o\n2024-01-01,1,u,v,1950-01-01\n2024-01-01,1,u,v,\n2024-01-01,1,u,v,{}\n"
    found = of(tmp_path, rows.format("2024-01-02"), opened)
    assert [each.transaction.user_created_at for each in found] == [
        -631_152_000_000,
        None,
        1_704_153_600_000,
    ]
    with pytest.raises(InvalidDataset, match=r'column "o", row 3.*opened more than a day after'):
        of(tmp_path, rows.format("2024-01-03"), opened)


def test_attributes_are_kept_as_they_came(tmp_path: Path):
    toml = 'attributes = ["x", "y"]\nfiles = ["*.parquet"]\n[fields]\n' + "\n".join(
        f"{name} = {source}" for name, source in FIELDS.items()
    )
    columns = {"t": ["2024-01-01"] * 2, "a": [1, 1], "u": ["u", "u"], "v": ["v", "v"]}
    found = of_table(tmp_path, parse_mapping(toml, "m"), **columns, x=[0.1, None], y=["q", None])
    assert [dict(each.transaction.attributes) for each in found] == [
        {"x": Decimal("0.1"), "y": "q"},
        {},
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("t,a,u\n1,2,3\n", 'column "v" of rows.csv'),
        ("t,a,u,v\n1,2\n", "cannot be read as csv"),
        ("", "cannot be read as csv"),
        ("t,a,u,v\n\xff", "cannot be read as csv"),
    ],
)
def test_a_broken_file_says_what_is_wrong(tmp_path: Path, text: str, what: str):
    (tmp_path / "rows.csv").write_text(text, encoding="latin-1")
    with pytest.raises(InvalidDataset, match=re.escape(what)):
        read(tmp_path, mapping())


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("t,a,u,größe\n".encode("latin-1"), "Write the file in UTF-8"),
        (ROWS.encode("utf-16"), "in UTF-16. Write the file in UTF-8"),
        ((ROWS + "2024-01-01,1,ü,v\n").encode("latin-1"), "Write the file in UTF-8"),
        (gzip.compress(ROWS.encode(), mtime=0), r"compressed \(gzip\).*\.csv\.gz"),
        (b"PK\x03\x04 and more", r"compressed \(zip\)"),
    ],
    ids=["head", "utf-16", "body", "gzip", "zip"],
)
def test_bytes_that_are_no_text_are_refused_in_a_line(tmp_path: Path, data: bytes, what: str):
    (tmp_path / "rows.csv").write_bytes(data)
    with pytest.raises(InvalidDataset, match=what) as caught:
        read(tmp_path, mapping())
    assert (caught.value.field, caught.value.exit_code) == ("rows.csv", 2)


def test_compressed_text_is_read_by_name(tmp_path: Path):
    lines = '{"t": "2024-01-01", "a": 1, "u": "u", "v": "v"}\n' * 2
    for name, text in (("rows.csv.gz", ROWS), ("rows.jsonl.gz", lines)):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
        assert len(list(read(tmp_path, mapping(files=name)))) == 2
        (tmp_path / name).write_bytes(gzip.compress(text.encode())[:-12])
        with pytest.raises(InvalidDataset, match="cannot be read as"):
            read(tmp_path, mapping(files=name))
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidDataset, match="cannot be read as"):
            read(tmp_path, mapping(files=name))
    (tmp_path / "rows.jsonl").write_bytes(gzip.compress(lines.encode()))
    with pytest.raises(InvalidDataset, match=r"compressed \(gzip\).*\.jsonl\.gz"):
        read(tmp_path, mapping(files="*.jsonl"))


def test_json_lines_may_begin_with_a_byte_order_mark(tmp_path: Path):
    line = '{"t": "2024-01-01", "a": 1, "u": "u", "v": "v"}\n'
    (tmp_path / "rows.jsonl").write_text(line, encoding="utf-8-sig")
    assert len(list(read(tmp_path, mapping(files="*.jsonl")))) == 1


@pytest.mark.parametrize("text", ["", "\n", "\ufeff"])
def test_json_lines_without_a_line_are_no_rows(tmp_path: Path, text: str):
    (tmp_path / "a.jsonl").write_text(text)
    assert list(read(tmp_path, mapping(files="*.jsonl"))) == []
    (tmp_path / "b.jsonl").write_text('{"t": "2024-01-01", "a": 1, "u": "u", "v": "v"}\n')
    assert len(list(read(tmp_path, mapping(files="*.jsonl")))) == 1


def test_a_party_without_a_column_is_said_to_have_none(tmp_path: Path):
    with pytest.raises(InvalidDataset) as caught:
        of(tmp_path, "t,a,u\n2024-01-01,1,u\n", mapping(counterparty_id=""))
    said = "counterparty_id: no column is mapped, row 1 of rows.csv: a transfer has a counterparty"
    assert str(caught.value).startswith(said)


def test_no_file_and_an_unknown_suffix_say_so(tmp_path: Path):
    with pytest.raises(InvalidDataset, match="no file matches"):
        read(tmp_path, mapping())
    with pytest.raises(InvalidDataset, match="no file matches"):
        count(tmp_path / "absent", mapping())
    (tmp_path / "rows.dat").write_text(ROWS)
    with pytest.raises(InvalidDataset, match="does not say what format"):
        read(tmp_path, mapping(files="*.dat"))
    told = parse_mapping(
        'format = "csv"\nfiles = ["*.dat"]\n[fields]\n'
        + "\n".join(f"{name} = {source}" for name, source in FIELDS.items()),
        "m",
    )
    assert len(list(read(tmp_path, told))) == 2


def test_an_empty_file_has_no_transactions(tmp_path: Path):
    assert of(tmp_path, "t,a,u,v\n") == []


WIRE = [
    {
        "transaction_id": "t1",
        "timestamp": "2024-05-01T12:00:00Z",
        "type": "payment",
        "amount": "12.50",
        "currency": "USD",
        "user_id": "007",
        "merchant_id": "m1",
        "ip_address": "::ffff:192.0.2.1",
        "location": "52.5,13.4",
        "outcome": "declined",
        "user_created_at": "2020-05-01T00:00:00Z",
        "fraud": True,
        "label_known_at": 1_714_651_200_000,
        "ring_id": "r1",
        "ring_kind": "cycle",
    },
    {
        "transaction_id": "t2",
        "timestamp": "2024-05-01T12:00:01Z",
        "type": "withdrawal",
        "amount": "0.29",
        "currency": "EUR",
        "user_id": "u2",
        "fraud": None,
        "label_known_at": None,
    },
]
LABELS = ("fraud", "label_known_at", "ring_id", "ring_kind")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_our_own_form_reads_as_the_codec_does(tmp_path: Path, suffix: str):
    names = list(WIRE[0])
    file = tmp_path / f"transactions.{suffix}"
    if suffix == "jsonl":
        file.write_text("\n".join(json.dumps(row) for row in WIRE))
    elif suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(WIRE, pa.Table.from_pylist(WIRE[:1]).schema), file)
    else:
        cells = [["" if row.get(n) is None else json.dumps(row[n]) for n in names] for row in WIRE]
        file.write_text("\n".join([",".join(names), *(",".join(row) for row in cells)]))
    shipped = load_mapping("ringfence")
    rates = shipped.rate_table
    assert rates is not None
    wire = [{n: v for n, v in row.items() if n not in LABELS} for row in WIRE]
    expected = [codec.decode(json.dumps(row).encode(), rates=rates, now=None) for row in wire]
    history = list(read(tmp_path, shipped))
    assert [each.transaction for each in history] == expected
    assert [(each.fraud, each.known_at, each.ring_id) for each in history] == [
        (True, 1_714_651_200_000, "r1"),
        (None, None, None),
    ]


def test_a_broken_line_says_which(tmp_path: Path):
    (tmp_path / "transactions.jsonl").write_text("{}\n{\n")
    with pytest.raises(InvalidDataset, match=r"line 2 of transactions\.jsonl"):
        read(tmp_path, load_mapping("ringfence"))


@pytest.mark.slow
@needs_public_data
@pytest.mark.parametrize(
    ("name", "folder", "fraud", "legitimate", "unknown", "rings"),
    [
        ("s-ffsd", "s-ffsd", 5_256, 24_387, 48_238, 0),
        ("amlsim-10k", "amlsim-10k", 671, 197_234, 0, 100),
        ("amlsim-20k", "amlsim-20k/20K_cycle200", 1_856, 115_935, 0, 0),
        ("amlsim-20k", "amlsim-20k/20K_fanin200", 1_824, 116_412, 0, 0),
        ("amlsim-20k", "amlsim-20k/20K_fanin200cycle200", 3_540, 117_003, 0, 0),
        ("fraud-ecommerce", "fraud-ecommerce", 2_867, 27_322, 0, 0),
        pytest.param(*("handbook", "handbook", 14_681, 1_739_474, 0, 0), marks=pytest.mark.slow),
    ],
)
def test_public_data(name: str, folder: str, fraud: int, legitimate: int, unknown: int, rings: int):
    shipped = load_mapping(name)
    labels: Counter[bool | None] = Counter()
    seen = set()
    newest = 0
    for each in read(PUBLIC / folder, shipped):
        labels[each.fraud] += 1
        seen.add(each.ring_id)
        assert each.transaction.timestamp >= newest
        newest = each.transaction.timestamp
        assert (each.known_at is None) == (each.fraud is None)
    assert (labels[True], labels[False], labels[None]) == (fraud, legitimate, unknown)
    assert len(seen - {None}) == rings
    assert count(PUBLIC / folder, shipped) == fraud + legitimate + unknown


@pytest.mark.slow
@needs_public_data
def test_the_first_purchase_of_the_web_shop():
    shipped = load_mapping("fraud-ecommerce")
    by_id = {each.transaction.user_id: each for each in read(PUBLIC / "fraud-ecommerce", shipped)}
    found = by_id["u22058"].transaction
    assert (found.type, found.amount) == (TransactionType.PAYMENT, Money(3400, "USD"))
    assert (found.device_id, found.ip_address) == ("QVPSPJUOCKZAR", "43.173.1.96")
    assert found.user_created_at == 1_424_818_500_000
    assert found.attributes["browser"] == "Chrome"


@needs_public_data
def test_a_place_of_s_ffsd_is_shared_like_an_address():
    first = next(read(PUBLIC / "s-ffsd", load_mapping("s-ffsd"))).transaction
    assert first.location == Location("L100")
    assert first.identifiers[0].kind is EntityKind.IP
    assert (first.user_id, first.merchant_id, first.merchant_category) == (
        "S10000",
        "T1000",
        "TP100",
    )
    assert first.outcome is not Outcome.DECLINED
