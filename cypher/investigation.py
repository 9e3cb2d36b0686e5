"""An investigation: one Cypher file, described by its own header.

The header is the one place where an investigation's parameters and columns are declared; the
catalogue, the validation, the page in `docs/` and the form in the browser all follow from it:

    // Title
    //
    // The question it answers, in one or more lines.
    //
    // :group GROUP
    // :asked-by Who asks this, and when.
    // :example ringfence investigate NAME --param NAME=VALUE
    // :shape tree {COLUMN} as each branch is told, in words with {COLUMN}s
    // :needs neo4j: which part of it the embedded graph does not know.
    // :limits 500 rows, 5 s
    //
    // :param NAME string example "u-1" What it means.
    // :param NAME ring example "r-1" What it means; the id of a ring.
    // :param NAME integer MIN..MAX default 4 What it means.
    // :param NAME choice This|That default "This" What it means.
    // :param NAME timestamp default "1970-01-01T00:00:00Z" What it means.
    //
    // :column NAME TYPE What it means.
    //
    // :cost What is looked at; may go on in further `:cost` lines.
    // :bound What keeps that within limits; may go on as well.
    MATCH ...

A parameter with `example` must be given; one with `default` need not be. Without `:shape` the
answer is a table. A tree has a column `path`: what leads to the row, its own part last; the path
of its parent is the same without that part. Without `:needs` every adapter answers alike.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from cypher.ports import Dialect
from graph.errors import InvalidInput, InvalidSetting

MAX_TEXT: Final = 512
"""Characters in a text parameter: ids are shorter, and what is longer is not an id."""

MAX_ROWS: Final = 500
"""Rows in any answer: what a person can look through and a page can draw."""

MAX_SECONDS: Final = 20
"""The longest any investigation may take: those that look at everybody need it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_LATEST: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, where RFC 3339 ends."""


class ParameterType(StrEnum):
    """What a parameter takes."""

    STRING = "string"
    RING = "ring"
    """The id of a ring; that of one that merged asks about the ring it became."""
    INTEGER = "integer"
    CHOICE = "choice"
    """One of a few words; upper and lower case are the same."""
    TIMESTAMP = "timestamp"
    """RFC 3339 with an offset, or milliseconds since the epoch; a number in the query."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One typed parameter.

    Attributes:
        name: As in `$name`.
        type: What it takes.
        minimum: Smallest integer taken; None for the other types.
        maximum: Greatest integer taken; None for the other types.
        choices: The words a choice takes; empty for the other types.
        default: What it is when not given; None where it must be given.
        example: A value that works.
        meaning: One sentence.
    """

    name: str
    type: ParameterType
    minimum: int | None
    maximum: int | None
    choices: tuple[str, ...]
    default: str | int | None
    example: str | int
    meaning: str

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is None

    def coerce(self, value: object) -> str | int:
        """The value as the query takes it: text, or a number.

        Raises:
            InvalidInput: It is of another type or out of bounds; names the parameter and what was
                found, and gives an example.
        """
        match self.type:
            case ParameterType.STRING | ParameterType.RING:
                return self._text(value)
            case ParameterType.INTEGER:
                return self._integer(value)
            case ParameterType.CHOICE:
                return self._choice(value)
            case ParameterType.TIMESTAMP:
                return self._timestamp(value)

    def _text(self, value: object) -> str:
        if not isinstance(value, str):
            raise self.refusal("must be text", value)
        if not 1 <= len(value) <= MAX_TEXT:
            raise self.refusal(f"must have 1 to {MAX_TEXT} characters", value)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self.refusal("is not Unicode text", value) from error
        return value

    def _integer(self, value: object) -> int:
        # A bool is an int to Python, and "²" is a digit to str.isdigit.
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.refusal("must be a whole number", value)
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and not low <= value <= high:
            raise self.refusal(f"must be from {low} to {high}", value)
        return value

    def _choice(self, value: object) -> str:
        for word in self.choices:
            if isinstance(value, str) and value.casefold() == word.casefold():
                return word
        raise self.refusal("is not one of those there are", value)

    def _timestamp(self, value: object) -> int:
        at = value
        # A command line has text only; shorter digits are a year or a day, and lack an offset.
        if isinstance(value, str) and re.fullmatch(r"[0-9]{9,15}", value):
            at = int(value)
        elif isinstance(value, str):
            try:
                parsed = datetime.fromisoformat(value)
            except ValueError as error:
                raise self.refusal("must be a time", value) from error
            if parsed.tzinfo is None:
                raise self.refusal("needs an offset from UTC, such as Z", value)
            at = (parsed - _EPOCH) // timedelta(milliseconds=1)
        if not isinstance(at, int) or isinstance(at, bool):
            raise self.refusal("must be a time", value)
        if not 0 <= at <= _LATEST:
            raise self.refusal("must lie in the years 1970 to 9999", value)
        return at

    def refusal(self, what: str, value: object) -> InvalidInput:
        """The error that a value of this parameter deserves."""
        found = repr(value)
        return InvalidInput(
            what,
            field=self.name,
            value=found if len(found) <= 80 else found[:77] + "...",
            remedy=f"Send {self.describe()}, for example {self.quoted(self.example)}.",
        )

    def describe(self) -> str:
        """The type in words."""
        match self.type:
            case ParameterType.RING:
                return f"the id of a ring, at most {MAX_TEXT} characters"
            case ParameterType.STRING:
                return f"text of at most {MAX_TEXT} characters"
            case ParameterType.INTEGER:
                return f"a whole number from {self.minimum} to {self.maximum}"
            case ParameterType.CHOICE:
                return f"one of {', '.join(self.choices)}"
            case ParameterType.TIMESTAMP:
                return "RFC 3339 time or milliseconds since the epoch"

    @staticmethod
    def quoted(value: str | int) -> str:
        """A value as it is written in JSON and in the header."""
        return f'"{value}"' if isinstance(value, str) else str(value)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the answer: `type` is in words ("list of strings", "money" in minor units)."""

    name: str
    type: str
    meaning: str


class Group(StrEnum):
    """Where an investigation stands in the list, in the order of the list."""

    RINGS = "rings"
    MONEY = "money"
    SHARING = "sharing"
    ACCOUNTS = "accounts"
    MERCHANTS = "merchants"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Investigation:
    """A question that can be asked of the graph.

    Attributes:
        name: The name of its file, by which it is asked for.
        title: For a list or a heading.
        question: What it answers, in sentences.
        group: Where it stands in the list.
        asked_by: Who asks it, and when.
        example: A command line that asks it.
        branch: How a branch of the answer's tree is told, with columns in braces; None where the
            answer is a table.
        needs: The dialect it is written in; None where every adapter understands it.
        needs_for: The part of that dialect it uses.
        max_rows: At most so many rows are answered.
        timeout_ms: At most so long it may take.
        parameters: In the order of the header.
        columns: In the order of the answer.
        cost: What is looked at.
        bound: What keeps that within limits.
        cypher: The query, without the header.
    """

    name: str
    title: str
    question: str
    group: Group
    asked_by: str
    example: str
    branch: str | None
    needs: Dialect | None
    needs_for: str | None
    max_rows: int
    timeout_ms: int
    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    cost: str
    bound: str
    cypher: str

    @property
    def summary(self) -> str:
        """The question in one line: its first sentence."""
        return re.split(r"(?<=[.?:])\s", self.question)[0].rstrip(":")

    def bind(self, given: Mapping[str, object]) -> dict[str, str | int]:
        """Check the given parameters, fill in defaults, and return what the query takes.

        Raises:
            InvalidInput: One is unknown, missing, of another type or out of bounds.
        """
        names = [parameter.name for parameter in self.parameters]
        for name in given:
            if name not in names:
                raise InvalidInput(
                    f"{self.name} has no such parameter",
                    field=str(name)[:80],
                    value=repr(given[name])[:80],
                    remedy=f"{nearest(name, names)}It takes {', '.join(names)}.",
                )
        bound: dict[str, str | int] = {}
        for parameter in self.parameters:
            # A form sends null for a field left empty.
            value = given.get(parameter.name)
            if value is None:
                if parameter.default is None:
                    raise parameter.refusal("is missing", value)
                value = parameter.default
            bound[parameter.name] = parameter.coerce(value)
        return bound


def nearest(name: str, names: Iterable[str]) -> str:
    """Advice for a name that is none of these: the ones most like it, or nothing."""
    found = get_close_matches(name, list(names), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(found)}? " if found else ""


_PARAMETER: Final = re.compile(
    r"(?P<name>[a-z_]+) (?P<type>string|ring|integer|timestamp|choice)"
    r"(?: (?P<low>-?\d+)\.\.(?P<high>-?\d+)| (?P<choices>\w+(?:\|\w+)+))? "
    r"(?P<word>example|default) (?P<value>\"[^\"]+\"|-?\d+) (?P<meaning>\S.*)"
)
_COLUMN: Final = re.compile(
    r"(?P<name>[a-z_]+) "
    r"(?P<type>(?:list of )?(?:string|integer|number|money|timestamp|boolean)s?) (?P<meaning>\S.*)"
)
_LIMITS: Final = re.compile(r"(?P<rows>\d+) rows, (?P<seconds>\d+) s")
_NEEDS: Final = re.compile(r"(?P<dialect>[a-z0-9]+): (?P<part>\S.*)")
_ONCE: Final = ("group", "asked-by", "example", "limits")
_MAY: Final = ("shape", "needs")
_GOES_ON: Final = ("cost", "bound")


def parse(name: str, text: str) -> Investigation:
    """Read a `.cypher` file.

    Raises:
        InvalidSetting: The header is not as this module describes it; names file and line.
    """
    lines = text.splitlines()
    length = next((i for i, line in enumerate(lines) if not line.startswith("//")), len(lines))
    prose: list[str] = []
    parameters: list[Parameter] = []
    columns: list[Column] = []
    said: dict[str, str] = {}
    for number, line in enumerate(lines[:length], start=1):
        content = line.removeprefix("//").strip()
        word, _, rest = content.partition(" ")
        key = word.removeprefix(":")
        if word == ":param" and (found := _PARAMETER.fullmatch(rest)):
            parameters.append(_parameter(found))
        elif word == ":column" and (found := _COLUMN.fullmatch(rest)):
            columns.append(Column(found["name"], found["type"], found["meaning"]))
        elif key in _GOES_ON and rest:
            said[key] = f"{said[key]} {rest}" if key in said else rest
        elif key in (*_ONCE, *_MAY) and rest and key not in said:
            said[key] = rest
        elif word.startswith(":"):
            raise _malformed(name, f"line {number} cannot be read", line)
        elif content:
            prose.append(content)
    missing = [each for each in (*_ONCE, *_GOES_ON) if each not in said]
    if len(prose) < 2 or not columns or missing or length == len(lines):
        what = ", ".join(f":{each}" for each in missing) or "a title, question, column or the query"
        raise _malformed(name, f"lacks {what}", None)
    limits = _LIMITS.fullmatch(said["limits"])
    needs = _NEEDS.fullmatch(said.get("needs", ""))
    shape, _, branch = said.get("shape", "").partition(" ")
    if (
        limits is None
        or said["group"] not in list(Group)
        or (needs is None) == ("needs" in said)
        or (needs is not None and needs["dialect"] not in list(Dialect))
        or (shape, bool(branch)) not in (("", False), ("tree", True))
    ):
        raise _malformed(name, "has a :group, :limits, :needs or :shape of another form", None)
    return Investigation(
        name=name,
        title=prose[0],
        question=" ".join(prose[1:]),
        group=Group(said["group"]),
        asked_by=said["asked-by"],
        example=said["example"],
        branch=branch or None,
        needs=None if needs is None else Dialect(needs["dialect"]),
        needs_for=None if needs is None else needs["part"],
        max_rows=min(MAX_ROWS, int(limits["rows"])),
        timeout_ms=min(MAX_SECONDS, int(limits["seconds"])) * 1_000,
        parameters=tuple(parameters),
        columns=tuple(columns),
        cost=said["cost"],
        bound=said["bound"],
        cypher="\n".join(lines[length:]).strip(),
    )


def _parameter(found: re.Match[str]) -> Parameter:
    text = found["value"]
    value = text.strip('"') if text.startswith('"') else int(text)
    return Parameter(
        name=found["name"],
        type=ParameterType(found["type"]),
        minimum=None if found["low"] is None else int(found["low"]),
        maximum=None if found["high"] is None else int(found["high"]),
        choices=tuple(found["choices"].split("|")) if found["choices"] else (),
        default=value if found["word"] == "default" else None,
        example=value,
        meaning=found["meaning"],
    )


def _malformed(name: str, what: str, line: str | None) -> InvalidSetting:
    return InvalidSetting(
        f"the header of an investigation {what}",
        field=f"{name}.cypher",
        value=line,
        remedy="Write it as cypher/investigation.py describes.",
    )
