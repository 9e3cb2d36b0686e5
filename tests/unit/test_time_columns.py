"""Times of a data set: as text, as numbers and as time types."""

import re
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from graph.transaction import HOUR
from ingest import fields
from ingest.mapping import Source
from ingest.tables import InvalidDataset, SourceTable
from ingest.time_columns import read_times
from tests.mapped_files import ROW, mapping, of, of_table


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


@pytest.mark.parametrize("bad", [1_704_067_200, -(10**13), 10**17])
def test_one_bad_number_among_good_times_is_found(tmp_path: Path, bad: int):
    good = [1_704_067_200_000, None, -5]  # an account may be older than the epoch
    opened = mapping(user_created_at='"o"', files="*.parquet")
    columns = {"t": ["2024-01-01"] * 4, "a": [1] * 4, "u": ["u"] * 4, "v": ["v"] * 4}
    found = of_table(tmp_path, opened, **columns, o=[*good, 5])
    assert [each.transaction.user_created_at for each in found] == [*good, 5]
    with pytest.raises(InvalidDataset, match='column "o", row 4'):
        of_table(tmp_path, opened, **columns, o=[*good, bad])
