"""The mapping file: which column of a data set is which field of a transaction.

A mapping is a TOML file; `docs/mapping.md` explains every key with an example to copy. Mappings of
well-known data sets ship with the package and are loaded by name, any other by its path. A key we
do not know is an error that names the nearest one we do: a misspelt key must not be a silent no.
"""

import datetime as dt
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, get_args

import msgspec

from graph.errors import InvalidInput, InvalidSetting
from graph.toml_text import NotToml, read_toml
from graph.transaction import DAY, HOUR, MINUTE, SECOND
from ingest import codec, fields
from ingest.attributes import MOST, flaw_of_name
from ingest.cell_text import Scalar, compared
from ingest.currencies import RateTable
from ingest.idle_keys import TIMES, check_keys

SHIPPED: Final = Path(__file__).resolve().parent / "mappings"

TimeFormat = Literal[
    "wire", "iso", "pattern", "epoch_s", "epoch_ms", "seconds", "minutes", "hours", "days"
]
_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_REMOVED: Final = {
    "shares": "Take it out: the temporal split is 60/20/20 in the order of time. For another one "
    "give train_from, train_until, test_from and test_until."
}


class InvalidMapping(InvalidInput):
    """The mapping file cannot be used."""

    code = "invalid-mapping"


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all tables of a mapping share: keys that are not listed are errors."""


class Source(Section, frozen=True, kw_only=True):
    """Where the values of one field come from.

    Attributes:
        column: The column that has them.
        constant: One value for every row, instead of a column.
        optional: The column may be absent from the files.
        values: What each value of the column means on the wire, where it means something else.
        prefix: Put before every value, so that ids of different kinds cannot meet.
        time: How times are written; see `docs/mapping.md`.
        pattern: With time = "pattern": the `strptime` pattern.
        zone: The zone of times that name none: "UTC" or a name such as "Europe/Berlin".
        origin: With seconds, minutes, hours or days: the instant or date they count from.
        round: Round amounts to the decimals of their currency, half to even.
        ip: How addresses are written: as text, as the integer of an IPv4 address, or as the name
            of a place that has no address; names get stable addresses of fd00::/8 (RFC 4193).
    """

    column: str | None = None
    constant: str | None = None
    optional: bool = False
    values: dict[str, str] = {}
    prefix: str = ""
    time: TimeFormat = "wire"
    pattern: str | None = None
    zone: str | None = None
    origin: str | None = None
    round: bool = False
    ip: Literal["text", "integer", "name"] = "text"

    def __post_init__(self) -> None:
        if (self.column is None) == (self.constant is None):
            raise ValueError("give either column or constant")
        if (self.time == "pattern") != (self.pattern is not None):
            raise ValueError('pattern belongs to time = "pattern"')
        if (self.time in ("seconds", "minutes", "hours", "days")) != (self.origin is not None):
            raise ValueError("origin belongs to time = seconds, minutes, hours or days")
        if self.origin is not None:
            instant(self.origin)
        if self.constant is not None and (self.optional or self.values or self.prefix):
            raise ValueError("optional, values and prefix belong to a column, not to a constant")

    @property
    def origin_ms(self) -> int:
        """The instant that times count from, epoch milliseconds."""
        return 0 if self.origin is None else instant(self.origin)


class Condition(Section, frozen=True, kw_only=True):
    """Something that holds for a row or not: exactly one of the three comparisons."""

    column: str
    equals: Scalar | None = None
    equals_column: str | None = None
    is_null: bool | None = None

    def __post_init__(self) -> None:
        given = (self.equals, self.equals_column, self.is_null)
        if sum(value is not None for value in given) != 1:
            raise ValueError("give one of equals, equals_column, is_null")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it reads."""
        return (self.column,) if self.equals_column is None else (self.column, self.equals_column)


class Join(Section, frozen=True, kw_only=True):
    """Columns of another file, by a key that is unique there."""

    file: str
    on: dict[str, str]
    columns: dict[str, str]

    def __post_init__(self) -> None:
        if len(self.on) != 1 or not self.columns:
            raise ValueError("on has one pair {ours = theirs}, columns at least one {theirs = new}")


class Drop(Section, frozen=True, kw_only=True):
    """Rows that are left out: those for which every condition holds."""

    when: list[Condition]

    def __post_init__(self) -> None:
        if not self.when:
            raise ValueError("when needs at least one condition")


class LabelSource(Section, frozen=True, kw_only=True):
    """What is known about a row: from the values of a column, or from conditions.

    A null is always unknown, and no value means two things. `known_at` is a column that every
    label has a time in; without it a label is known `delay` after its transaction.
    """

    column: str | None = None
    fraud: list[Scalar] = []
    legitimate: list[Scalar] = []
    unknown: list[Scalar] = []
    fraud_when: list[Condition] = []
    delay: str | None = None
    known_at: Source | None = None

    def __post_init__(self) -> None:
        if (self.column is None) == (not self.fraud_when):
            raise ValueError("give either column or fraud_when")
        if self.column is not None and not (self.fraud and self.legitimate):
            raise ValueError("list the values that mean fraud and those that mean legitimate")
        _check_apart(fraud=self.fraud, legitimate=self.legitimate, unknown=self.unknown)
        if (self.delay is None) == (self.known_at is None):
            raise ValueError('give either delay, as in "7d", or known_at')
        if self.delay is not None:
            duration(self.delay)
        if self.known_at is not None:
            _check_source("known_at", self.known_at, required=True)

    @property
    def delay_ms(self) -> int:
        """How long after its transaction a label is known, milliseconds."""
        return 0 if self.delay is None else duration(self.delay)


class RingSource(Section, frozen=True, kw_only=True):
    """Which column names the true ring of a row, and which of its values mean none.

    `kind` is the column that says which typology the ring is of.
    """

    column: str
    kind: str | None = None
    none: list[Scalar] = []
    optional: bool = False


class Evaluation(Section, frozen=True, kw_only=True):
    """How the data set is usually split: hints for `ringfence evaluate`, not commands.

    Attributes:
        protocol: Train on the past and test on the future, or shuffled (a published protocol).
        train_from: First day of training; what comes before only warms up the window.
        train_until: First day after training.
        test_from: First day of the test; between training and it labels become known.
        test_until: First day after the test.
        known_since: Leave transactions of users out of the test once a fraud of theirs that
            happened on this day or later is known.
    """

    protocol: Literal["temporal", "shuffled"] = "temporal"
    train_from: str | None = None
    train_until: str | None = None
    test_from: str | None = None
    test_until: str | None = None
    known_since: str | None = None

    def __post_init__(self) -> None:
        days = [self.train_from, self.train_until, self.test_from, self.test_until]
        if any(days) and not all(days):
            raise ValueError("give all four of train_from, train_until, test_from, test_until")
        instants = [instant(day) for day in days if day is not None]
        if instants != sorted(instants):
            raise ValueError("training comes before the test")
        if self.known_since is not None:
            if not all(days):
                raise ValueError("known_since belongs to train_from, ..., test_until")
            instant(self.known_since)

    @property
    def periods(self) -> tuple[int, int, int, int] | None:
        """Train from and until, test from and until, in epoch milliseconds."""
        if self.train_from and self.train_until and self.test_from and self.test_until:
            days = (self.train_from, self.train_until, self.test_from, self.test_until)
            a, b, c, d = (instant(day) for day in days)
            return a, b, c, d
        return None

    @property
    def known_since_ms(self) -> int | None:
        """`known_since` in epoch milliseconds."""
        return None if self.known_since is None else instant(self.known_since)


class DatasetMapping(Section, frozen=True, kw_only=True):
    """A whole mapping file; `name` is the name of the file without its suffix.

    Attributes:
        name: Opens generated transaction ids.
        description: What the data set is, and what to beware of.
        files: Glob patterns relative to the data folder; what matches is read in order of name.
        format: Of the files; by default their suffix says it.
        delimiter: Between the columns of a CSV file.
        null: Texts of a CSV file that mean nothing; an empty cell always does.
        fields: The fields of the transaction; without `transaction_id` rows are numbered.
        attributes: Columns that are kept as unknown fields of the transaction.
        join: Columns of other files.
        drop: Rows that are left out.
        label: What is known about fraud; without it, nothing is.
        ring: The true rings, where the data set names them.
        rates: What currencies are worth, `base` and decimals in quotes.
        evaluation: How the data set is usually split.
    """

    name: str = ""
    description: str = ""
    files: list[str]
    format: Literal["parquet", "csv", "jsonl"] | None = None
    delimiter: str = ","
    null: list[str] = []
    fields: dict[str, str | Source]
    attributes: list[str] = []
    join: list[Join] = []
    drop: list[Drop] = []
    label: LabelSource | None = None
    ring: RingSource | None = None
    rates: dict[str, str] | None = None
    evaluation: Evaluation | None = None

    REQUIRED: ClassVar = tuple(name for name in codec.REQUIRED if name != "transaction_id")

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1:
            raise ValueError("delimiter is one character")
        for name in self.fields:
            if name not in codec.FIELDS:
                hint = _nearest(name, codec.FIELDS)
                raise ValueError(f"{name} is not a field of a transaction.{hint}")
        _check_attributes(self.attributes)
        if self.sources.get("transaction_id", Source(column="")).column is None:
            raise ValueError("transaction_id cannot be constant; leave it out to number the rows")
        for name, source in self.sources.items():
            _check_source(name, source, required=name in self.REQUIRED)
        missing = [name for name in self.REQUIRED if name not in self.fields]
        if missing:
            raise ValueError(f"fields needs {', '.join(missing)}")
        _check_patterns(self.files)

    @property
    def sources(self) -> dict[str, Source]:
        """Where each field comes from; a bare column name stands for `{column = ...}`."""
        return {
            name: Source(column=source) if isinstance(source, str) else source
            for name, source in self.fields.items()
        }

    @property
    def rate_table(self) -> RateTable | None:
        """The rates of the mapping; with a constant currency and no rates, that currency."""
        if self.rates is not None:
            table: dict[str, object] = dict(self.rates)
            return RateTable(str(table.pop("base", "")), table)
        currency = self.sources["currency"].constant
        return None if currency is None else RateTable(currency)


def _check_attributes(names: list[str]) -> None:
    """What the wire takes: so many, and no names of fields."""
    if len(names) > MOST:
        raise ValueError(f"more than {MOST} attributes")
    for name in names:
        if name in codec.FIELDS:
            raise ValueError(f"{name} is a field of a transaction; name it under fields")
        if (flaw := flaw_of_name(name)) is not None:
            raise ValueError(f"attributes: {flaw.what}")


def shipped_names() -> tuple[str, ...]:
    """The mappings that can be loaded by name."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def load_mapping(name_or_path: str | Path) -> DatasetMapping:
    """The mapping of that name, or in that file.

    Raises:
        InvalidMapping: There is none, it is not TOML, or a key or value in it is wrong.
    """
    names = shipped_names()
    path = SHIPPED / f"{name_or_path}.toml" if str(name_or_path) in names else Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidMapping(
            f"no mapping ships by this name, and the file cannot be read: {error}",
            field="mapping",
            value=str(name_or_path),
            remedy=f"Use a path, or one of {', '.join(names)}.{_nearest(str(name_or_path), names)}",
        ) from None
    return parse_mapping(text, path.stem)


def parse_mapping(text: str, name: str) -> DatasetMapping:
    """The mapping in a TOML text.

    Raises:
        InvalidMapping: It is not TOML, or a key or value in it is wrong.
    """
    place = f"mapping {name}"
    try:
        content = _with_text_dates(read_toml(text))
        _check_keys(content, DatasetMapping, place)
        mapping = msgspec.convert({"name": name, **content}, DatasetMapping)
        check_keys(mapping)
        _check_rates(mapping)
    except NotToml as error:
        raise InvalidMapping(
            error.what, field=place, value=error.value, remedy=error.remedy
        ) from None
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise InvalidMapping(
            what, field=place + where.rstrip("`"), remedy="See docs/mapping.md for every key."
        ) from None
    except InvalidSetting as error:
        raise InvalidMapping(
            error.what, field=f"{place}.{error.field}", value=error.value, remedy=error.remedy
        ) from None
    return mapping


def _check_rates(mapping: DatasetMapping) -> None:
    table = mapping.rate_table
    constant = mapping.sources["currency"].constant
    if table is not None and constant is not None and constant not in table:
        raise InvalidMapping(
            f"the currency has no rate to {table.base}",
            field=f"mapping {mapping.name}.rates",
            value=constant,
            remedy=f"Add a rate for {constant}.",
        )


def _check_source(name: str, source: Source, *, required: bool) -> None:
    """Refuse the keys of a source that its field has no use for."""
    if required and source.optional:
        raise ValueError(f"{name} cannot be optional: every row needs it. Take optional out")
    if name in TIMES and source.constant is not None:
        raise ValueError(f"{name} cannot be constant. Name the column with the times")
    if source.values and name in (*TIMES, "amount"):
        raise ValueError(f"{name} takes no values: each is read as it is written. Take values out")
    if source.prefix and name in (*TIMES, "amount", "location"):
        raise ValueError(f"{name} takes no prefix: it is no id. Take prefix out")


def _check_apart(**lists: list[Scalar]) -> None:
    """Refuse a value that two of the lists have."""
    seen: dict[str, str] = {}
    for name, values in lists.items():
        for text in map(compared, values):
            if seen.setdefault(text, name) != name:
                raise ValueError(
                    f"{fields.show(text)} is under {seen[text]} and under {name}. "
                    "List it under the one that it means"
                )


def _check_patterns(patterns: list[str]) -> None:
    """Refuse globs that are none, or that leave the data folder."""
    for pattern in patterns:
        parts = Path(pattern).parts
        if Path(pattern).is_absolute() or ".." in parts or not pattern:
            raise ValueError("files are patterns inside the data folder")
        if not parts or "\0" in pattern or any("**" in part and part != "**" for part in parts):
            raise ValueError(
                f"files has a pattern that names no file (found {fields.show(pattern)}). "
                "Write one such as payments*.csv, or **/*.csv for all folders"
            )
    if not patterns:
        raise ValueError("files needs at least one pattern")


def duration(text: str) -> int:
    """A duration such as "90s", "15m", "12h" or "7d", in milliseconds."""
    shape = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if shape is None:
        raise ValueError(f'a duration is a number and s, m, h or d, as in "7d" (found {text})')
    return int(shape[1]) * _UNITS[shape[2]]


def instant(text: str) -> int:
    """A date (its midnight in UTC) or a time of RFC 3339, in epoch milliseconds."""
    whole = f"{text}T00:00:00Z" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text
    try:
        return fields.event_time(whole)
    except fields.Flaw as flaw:
        raise ValueError(f"{flaw.what} (found {fields.show(text)}). {flaw.remedy}") from None


def _with_text_dates(value: Any) -> Any:
    """TOML has dates of its own; here they may be quoted or not."""
    if isinstance(value, dict):
        return {key: _with_text_dates(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_with_text_dates(item) for item in value]
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


def _check_keys(content: dict[str, Any], section: type[Section], place: str) -> None:
    known = {field.encode_name: field.type for field in msgspec.structs.fields(section)}
    for key, value in content.items():
        if key not in known:
            raise InvalidMapping(
                f"there is no key {fields.show(key)} here",
                field=place,
                value=fields.show(key),
                remedy=_remedy(key, section, known),
            )
        inner = _section_in(known[key])
        members = value.values() if key == "fields" and isinstance(value, dict) else [value]
        for member in members:
            for item in member if isinstance(member, list) else [member]:
                if inner is not None and isinstance(item, dict):
                    _check_keys(item, inner, f"{place}.{key}")


def _remedy(key: str, section: type[Section], known: Any) -> str:
    if section is Evaluation and key in _REMOVED:
        return _REMOVED[key]
    return f"The keys are {', '.join(known)}.{_nearest(key, known)}"


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    found = (_section_in(part) for part in get_args(annotation))
    return next((section for section in found if section is not None), None)


def _nearest(name: str, known: Any) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""
