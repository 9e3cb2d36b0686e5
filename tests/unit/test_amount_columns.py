"""Amounts of a data set are exact, or are refused."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from graph.transaction import Money
from ingest.currencies import RateTable
from ingest.datasets import read
from ingest.tables import InvalidDataset
from tests.mapped_files import mapping, of, of_table


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
