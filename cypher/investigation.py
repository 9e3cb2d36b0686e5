"""An investigation: one Cypher file, described by its own header.

The header is the one place where an investigation's parameters and columns are declared; the
catalogue, the validation, the page in `docs/` and the form in the browser all follow from it:

    // Title
    //
    // The question it answers, in one or more lines.
    //
    // :param NAME string example "u-1" What it means.
    // :param NAME integer MIN..MAX default 4 What it means.
    // :param NAME timestamp default "1970-01-01T00:00:00Z" What it means.
    //
    // :column NAME TYPE What it means.
    //
    // :cost What bounds the work; may go on in further `:cost` lines.
    MATCH ...

A parameter with `example` must be given; one with `default` need not be.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from graph.errors import InvalidInput, InvalidSetting

MAX_TEXT: Final = 512
"""Characters in a text parameter: ids are shorter, and what is longer is not an id."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_LATEST: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, where RFC 3339 ends."""


class ParameterType(StrEnum):
    """What a parameter takes."""

    STRING = "string"
    INTEGER = "integer"
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
        default: What it is when not given; None where it must be given.
        example: A value that works.
        meaning: One sentence.
    """

    name: str
    type: ParameterType
    minimum: int | None
    maximum: int | None
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
            case ParameterType.STRING:
                return self._text(value)
            case ParameterType.INTEGER:
                return self._integer(value)
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

    def _timestamp(self, value: object) -> int:
        at = value
        if isinstance(value, str):
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
            case ParameterType.STRING:
                return f"text of at most {MAX_TEXT} characters"
            case ParameterType.INTEGER:
                return f"a whole number from {self.minimum} to {self.maximum}"
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


@dataclass(frozen=True, slots=True)
class Investigation:
    """A question that can be asked of the graph.

    Attributes:
        name: The name of its file, by which it is asked for.
        title: For a list or a heading.
        question: What it answers, in sentences.
        parameters: In the order of the header.
        columns: In the order of the answer.
        cost: What bounds its work.
        cypher: The query, without the header.
    """

    name: str
    title: str
    question: str
    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    cost: str
    cypher: str

    def bind(self, given: Mapping[str, object]) -> dict[str, str | int]:
        """Check the given parameters, fill in defaults, and return what the query takes.

        Raises:
            InvalidInput: One is unknown, missing, of another type or out of bounds.
        """
        names = {parameter.name for parameter in self.parameters}
        for name in given:
            if name not in names:
                raise InvalidInput(
                    f"{self.name} has no such parameter",
                    field=str(name)[:80],
                    value=repr(given[name])[:80],
                    remedy=f"It takes {', '.join(p.name for p in self.parameters)}.",
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


_PARAMETER: Final = re.compile(
    r"(?P<name>[a-z_]+) (?P<type>string|integer|timestamp)(?: (?P<low>-?\d+)\.\.(?P<high>-?\d+))? "
    r"(?P<word>example|default) (?P<value>\"[^\"]+\"|-?\d+) (?P<meaning>\S.*)"
)
_COLUMN: Final = re.compile(
    r"(?P<name>[a-z_]+) (?P<type>(?:list of )?(?:string|integer|number|money|timestamp)s?) "
    r"(?P<meaning>\S.*)"
)


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
    cost: list[str] = []
    for number, line in enumerate(lines[:length], start=1):
        content = line.removeprefix("//").strip()
        word, _, rest = content.partition(" ")
        if word == ":param" and (found := _PARAMETER.fullmatch(rest)):
            parameters.append(_parameter(found))
        elif word == ":column" and (found := _COLUMN.fullmatch(rest)):
            columns.append(Column(found["name"], found["type"], found["meaning"]))
        elif word == ":cost" and rest:
            cost.append(rest)
        elif word.startswith(":"):
            raise _malformed(name, f"line {number} cannot be read", line)
        elif content:
            prose.append(content)
    if len(prose) < 2 or not columns or not cost or length == len(lines):
        raise _malformed(name, "lacks a title, question, column, cost or the query", None)
    query = "\n".join(lines[length:]).strip()
    return Investigation(
        name,
        prose[0],
        " ".join(prose[1:]),
        tuple(parameters),
        tuple(columns),
        " ".join(cost),
        query,
    )


def _parameter(found: re.Match[str]) -> Parameter:
    text = found["value"]
    value = text.strip('"') if text.startswith('"') else int(text)
    return Parameter(
        name=found["name"],
        type=ParameterType(found["type"]),
        minimum=None if found["low"] is None else int(found["low"]),
        maximum=None if found["high"] is None else int(found["high"]),
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
