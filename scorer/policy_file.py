"""A policy as a TOML file: what mistakes cost, fixed thresholds, and a budget for each segment.

[costs]                 # what is left out keeps its default
loss = 550
friction = 100
step_up_catches = 0.8
step_up_friction = 15

[thresholds]            # leave the table out to take the cheapest decision
step_up = 0.3
decline = 0.7

[budget]                # leave the table out to have the same thresholds in every segment
step_up = 0.02
decline = 0.005
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from graph.errors import InvalidSetting
from graph.toml_text import NotToml, read_toml
from scorer.decision import Budget, Costs, Policy

LEAST: Final = 1e-9
MOST: Final = 1e12
"""What a cost or a threshold can be; beyond, sums of a million of them are no numbers any more."""
_COSTS: Final = tuple(each.name for each in fields(Costs))
_PAIR: Final = ("step_up", "decline")


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        InvalidSetting: It cannot be read, is not TOML, or a key or value in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(
            f"the policy cannot be read: {error}",
            field="policy",
            value=str(path),
            remedy="Give the path of a TOML file; docs/backtest.md shows one.",
        ) from None
    return parse_policy(text, path.name)


def policy_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """What to call policies: the names of their files without suffix, which have to differ.

    Raises:
        InvalidSetting: Two of them have the same name.
    """
    names = tuple(path.stem for path in paths)
    if len(set(names)) < len(names):
        raise InvalidSetting(
            "two policies have the same name",
            field="policy",
            value=", ".join(map(str, paths)),
            remedy="Give files of different names: the report calls policies by them.",
        )
    return names


def parse_policy(text: str, name: str) -> Policy:
    """Read the text of a policy file; `name` is what errors call it.

    Raises:
        InvalidSetting: It is not TOML, or a key or value in it is wrong.
    """
    try:
        content = read_toml(text)
    except NotToml as error:
        raise InvalidSetting(
            error.what, field=name, value=error.value, remedy=error.remedy
        ) from None
    _check_keys(content, ("costs", "thresholds", "budget"), name)
    costs = _numbers(content.get("costs", {}), _COSTS, f"{name}: costs")
    thresholds = _pair(content, "thresholds", name, "leave the table out to decide by cost")
    shares = _pair(content, "budget", name, "leave the table out to have none")
    try:
        budget = None if shares is None else Budget(*shares)
        return Policy(Costs(**costs), thresholds, budget)
    except InvalidSetting as error:
        raise InvalidSetting(
            error.what, field=f"{name}: {error.field}", value=error.value, remedy=error.remedy
        ) from None


def _pair(
    content: Mapping[str, Any], table: str, name: str, otherwise: str
) -> tuple[float, float] | None:
    """The step_up and decline of a table; None where it is left out or empty."""
    given = _numbers(content.get(table, {}), _PAIR, f"{name}: {table}")
    if not given:
        return None
    for key in _PAIR:
        if key not in given:
            raise InvalidSetting(
                f"step_up and decline of {table} come in a pair",
                field=f"{name}: {table}.{key}",
                remedy=f"Give both step_up and decline, or {otherwise}.",
            )
    return given["step_up"], given["decline"]


def _numbers(table: Any, keys: Collection[str], place: str) -> dict[str, float]:
    if not isinstance(table, dict):
        raise InvalidSetting(
            "this is a table",
            field=place,
            value=repr(table)[:80],
            remedy=f"Write [{place.rpartition(' ')[2]}] and below it {', '.join(keys)}.",
        )
    _check_keys(table, keys, place)
    for key, value in table.items():
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if not numeric or not (value == 0 or LEAST <= abs(value) <= MOST):
            raise InvalidSetting(
                f"this is a number: 0, or from {LEAST:g} to {MOST:g}",
                field=f"{place}.{key}",
                value=str(value)[:80] if numeric else repr(value)[:80],
                remedy="Write it without quotes, in a money unit that suits it.",
            )
    return {key: float(value) for key, value in table.items()}


def _check_keys(table: Mapping[str, Any], keys: Collection[str], place: str) -> None:
    for key in table:
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise InvalidSetting(
                "a policy has no such key",
                field=place,
                value=key[:80],
                remedy=f"The keys are {', '.join(keys)}.{hint}",
            )
