import doctest
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest

from graph.errors import InvalidSetting
from ingest import card_numbers, codec, columns, currencies
from ingest.currencies import EXPONENTS, RateTable, rates_from_toml


def test_exponents_of_iso_4217():
    known = {"EUR": 2, "USD": 2, "JPY": 0, "KRW": 0, "KWD": 3, "TND": 3, "CLF": 4, "ISK": 0}
    assert {code: EXPONENTS[code] for code in known} == known
    assert all(len(code) == 3 and code.isupper() for code in EXPONENTS)
    assert not {"XAU", "XXX", "XTS", "BTC"} & EXPONENTS.keys()


@pytest.mark.parametrize(
    ("base", "rate", "currency", "minor", "value"),
    [
        ("EUR", "0.92", "USD", 100, 92),
        ("EUR", "0.0061", "JPY", 1000, 610),  # 1000 yen, 6.10 euro
        ("JPY", "163.5", "EUR", 100, 164),  # 1 euro, 163.5 yen: half to even, up
        ("JPY", "162.5", "EUR", 100, 162),  # and down
        ("EUR", "3.01", "KWD", 1000, 301),
        ("EUR", "0.005", "USD", 1, 0),
        ("EUR", "0.015", "USD", 100, 2),
        ("EUR", "0.025", "USD", 100, 2),
    ],
)
def test_conversion(base: str, rate: str, currency: str, minor: int, value: int):
    assert RateTable(base, {currency: rate}).value(minor, currency) == value


def test_conversion_agrees_with_rational_arithmetic():
    rates = RateTable("EUR", {"USD": "0.92137", "JPY": "0.006134", "KWD": "3.0107"})
    for code in rates.currencies:
        exact = Fraction(rates.rates[code]) * Fraction(10) ** (2 - EXPONENTS[code])
        for minor in (0, 1, 7, 49, 50, 51, 12_345, 10**15):
            assert rates.value(minor, code) == round(minor * exact)


def test_the_base_is_worth_one_of_itself():
    rates = RateTable("EUR")
    assert rates.value(10**15, "EUR") == 10**15
    assert rates.currencies == ("EUR",)
    assert ("EUR" in rates, "USD" in rates) == (True, False)


def test_tables_compare_by_what_they_say():
    assert RateTable("EUR", {"USD": "0.9"}) == RateTable("EUR", {"EUR": 1, "USD": Decimal("0.9")})
    assert RateTable("EUR") != RateTable("USD")
    assert hash(RateTable("EUR")) == hash(RateTable("EUR"))


@pytest.mark.parametrize("rate", ["0", "-1", "1e3", "NaN", "", " 1", 0.92, True, None, "1" * 20])
def test_a_rate_that_is_not_an_exact_positive_decimal_is_refused(rate: object):
    with pytest.raises(InvalidSetting, match="positive decimal") as caught:
        RateTable("EUR", {"USD": rate})
    assert caught.value.field == "rates.USD"


@pytest.mark.parametrize(("base", "code"), [("EURO", "USD"), ("EUR", "usd"), ("XAU", "USD")])
def test_an_unknown_currency_is_refused(base: str, code: str):
    with pytest.raises(InvalidSetting, match="ISO 4217"):
        RateTable(base, {code: "1"})


def test_the_base_cannot_be_worth_something_else():
    with pytest.raises(InvalidSetting, match="worth 1 of itself"):
        RateTable("EUR", {"EUR": "1.1"})


def test_a_table_from_toml(tmp_path: Path):
    file = tmp_path / "rates.toml"
    file.write_text('base = "EUR"\n[rates]\nUSD = "0.92"\n')
    assert rates_from_toml(file) == RateTable("EUR", {"USD": "0.92"})


@pytest.mark.parametrize(
    "text", ["base = ", "[rates]\nUSD = '1'\n", "base = 'EUR'\nrate = 1\n", "base = 'EUR'\nrates=1"]
)
def test_a_broken_table_is_refused(tmp_path: Path, text: str):
    file = tmp_path / "rates.toml"
    file.write_text(text)
    with pytest.raises(InvalidSetting) as caught:
        rates_from_toml(file)
    assert "base" in caught.value.remedy
    with pytest.raises(InvalidSetting):
        rates_from_toml(tmp_path / "absent.toml")


@pytest.mark.parametrize("module", [card_numbers, codec, columns, currencies])
def test_the_examples_in_docstrings_run(module: ModuleType):
    ran = doctest.testmod(module)
    assert ran.attempted > 0
    assert ran.failed == 0
