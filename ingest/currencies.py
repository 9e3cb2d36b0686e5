"""Currencies: how many decimals each has (ISO 4217), and what each is worth in one base currency.

Transactions of several currencies are compared in minor units of the base currency. Rates are
exact decimals and the arithmetic is integer arithmetic, so a replay gives the same values on every
machine. Half of a minor unit is rounded to the even neighbour (banker's rounding), so that a
stream of conversions does not drift upwards.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from graph.errors import InvalidSetting
from graph.toml_text import NotToml, read_toml

# ISO 4217, list one (2024-06-25): the codes of money people pay with, by number of decimals.
# Metals, test codes and bond units are left out: nobody pays with them.
_BY_EXPONENT: Final[Mapping[int, str]] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP "
        "BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD "
        "FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD "
        "KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD "
        "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP "
        "SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED "
        "VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

EXPONENTS: Final[Mapping[str, int]] = {
    code: exponent for exponent, codes in _BY_EXPONENT.items() for code in codes.split()
}
"""Decimals of every currency we know, by its ISO 4217 code."""

# More digits than any published rate has, and few enough for decimal arithmetic (28 digits) to
# stay exact when the rate is shifted to minor units.
_PLAIN_DECIMAL: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,14})?")


class RateTable:
    """What each configured currency is worth in the base currency; immutable.

    Args:
        base: ISO 4217 code of the currency everything is compared in.
        rates: One unit of the currency (not of its minor unit) in units of the base, as text,
            integer or `Decimal`; never a float. The base itself is always 1.

    Raises:
        InvalidSetting: An unknown currency, or a rate that is not a positive exact decimal.

    >>> RateTable("EUR", {"JPY": "0.0061"}).value(1000, "JPY")
    610
    """

    def __init__(self, base: str, rates: Mapping[str, object] | None = None) -> None:
        self.base = _known("base", base)
        table = {_known(code, code): _rate(code, rate) for code, rate in (rates or {}).items()}
        if table.setdefault(base, Decimal(1)) != 1:
            raise InvalidSetting(
                "the base currency is worth 1 of itself",
                field=f"rates.{base}",
                value=str(table[base]),
                remedy=f"Leave {base} out, or choose another base.",
            )
        self.rates: Mapping[str, Decimal] = dict(sorted(table.items()))
        self._ratios = {code: self._ratio(code, rate) for code, rate in self.rates.items()}

    @property
    def currencies(self) -> tuple[str, ...]:
        """The configured currencies, the base among them, in alphabetical order."""
        return tuple(self.rates)

    def __contains__(self, currency: object) -> bool:
        return currency in self.rates

    def __repr__(self) -> str:
        return f"RateTable({self.base!r}, { ({code: str(r) for code, r in self.rates.items()}) })"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RateTable) and (self.base, self.rates) == (other.base, other.rates)

    def __hash__(self) -> int:
        return hash((self.base, tuple(self.rates.items())))

    def value(self, minor: int, currency: str) -> int:
        """Minor units of a currency in minor units of the base, half to even.

        Raises:
            KeyError: The currency has no rate; ask with `in` first.
        """
        numerator, denominator = self._ratios[currency]
        if denominator == 1:
            return minor * numerator
        quotient, rest = divmod(minor * numerator, denominator)
        half = 2 * rest - denominator
        return quotient + (half > 0 or (half == 0 and quotient % 2 == 1))

    def _ratio(self, code: str, rate: Decimal) -> tuple[int, int]:
        """The rate between minor units, as a fraction in lowest terms."""
        return (rate * Decimal(10) ** (EXPONENTS[self.base] - EXPONENTS[code])).as_integer_ratio()


def rates_from_toml(path: Path) -> RateTable:
    """Read a rate table: `base = "EUR"` and a table `[rates]` of quoted decimals.

    Raises:
        InvalidSetting: It cannot be read, or a key, currency or rate in it is wrong.
    """
    remedy = 'Write: base = "EUR", then [rates], then lines such as USD = "0.92".'
    try:
        content = read_toml(path.read_text(encoding="utf-8"))
    except NotToml as error:
        raise InvalidSetting(
            error.what, field=path.name, value=error.value, remedy=f"{error.remedy} {remedy}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(str(error), field=path.name, remedy=remedy) from None
    base, rates = content.pop("base", None), content.pop("rates", {})
    if content or not isinstance(base, str) or not isinstance(rates, dict):
        raise InvalidSetting(
            "a rate table has the keys base and rates",
            field=path.name,
            value=", ".join(content) or None,
            remedy=remedy,
        )
    return RateTable(base, rates)


def nearest_currency(text: str) -> str:
    """Advice for a code that is not a currency: the one it may have meant."""
    upper = text.strip().upper()
    if upper in EXPONENTS:
        return f"Write {upper}."
    near = get_close_matches(upper[:16], EXPONENTS, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"Use a three-letter code of ISO 4217, such as EUR.{hint}"


def _known(field: str, code: object) -> str:
    if isinstance(code, str) and code in EXPONENTS:
        return code
    raise InvalidSetting(
        "this is not a currency of ISO 4217",
        field=f"rates.{field}",
        value=str(code)[:16],
        remedy=nearest_currency(str(code)),
    )


def _rate(code: str, rate: object) -> Decimal:
    text = str(rate) if isinstance(rate, str | int | Decimal) else ""
    exact = Decimal(text) if _PLAIN_DECIMAL.fullmatch(text) else Decimal(0)
    if exact > 0 and not isinstance(rate, bool):
        return exact
    raise InvalidSetting(
        "a rate is a positive decimal, exact and quoted",
        field=f"rates.{code}",
        value=str(rate)[:40],
        remedy=f'Write how much one {code} is worth in the base currency, as in {code} = "0.92".',
    )
