r"""TOML as everybody here reads it: a table, or one kind of error that says what is wrong.

What is nested deeply is refused: no file of ours is deeper than four levels, and whoever walks
through thousands of them runs out of stack, as the parser itself does.

>>> read_toml('[costs]\nloss = 900')
{'costs': {'loss': 900}}
"""

import tomllib
from typing import Any, Final

DEEPEST: Final = 16
"""Tables and arrays within one another."""


class NotToml(ValueError):
    """A text that cannot be used as TOML: what is wrong, and what to do about it."""

    def __init__(self, what: str, remedy: str, value: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.value = value
        self.remedy = remedy


def read_toml(text: str) -> dict[str, Any]:
    """The table in a text, which may begin with a byte order mark, as Windows writes it.

    Raises:
        NotToml: It is not TOML, has a number that is too long, or is nested too deeply.
    """
    try:
        found = tomllib.loads(text.removeprefix("\ufeff"))
    except ValueError as error:  # a number of more than 4300 digits is no TOMLDecodeError
        text = str(error)
        raise NotToml(
            f"is not TOML: {text[:1].lower()}{text[1:]}",
            "Texts are quoted, tables are in [brackets].",
        ) from None
    except RecursionError:
        raise _too_deep() from None
    level: list[Any] = [found]
    for _ in range(DEEPEST):
        level = [inner for each in level for inner in _members(each)]
    if level:
        raise _too_deep()
    return found


def _members(value: dict[str, Any] | list[Any]) -> list[Any]:
    inside = value.values() if isinstance(value, dict) else value
    return [each for each in inside if isinstance(each, dict | list)]


def _too_deep() -> NotToml:
    return NotToml(
        "has tables or arrays that are nested too deeply",
        "Take the inner ones out: no key needs more than four levels.",
        f"more than {DEEPEST} levels",
    )
