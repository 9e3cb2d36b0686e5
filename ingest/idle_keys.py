"""Keys of a mapping that would do nothing where they stand: refused, as a misspelt key is.

Which key belongs to which field is a table, so that the rules are read in one place.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from graph.errors import InvalidSetting
from ingest.file_formats import format_of

if TYPE_CHECKING:  # they import this one
    from ingest.mapping import DatasetMapping, LabelSource, Source

TIMES: Final = ("timestamp", "user_created_at", "known_at")
_OF_FIELDS: Final = {
    **dict.fromkeys(("time", "pattern", "zone", "origin"), TIMES),
    "round": ("amount",),
    "ip": ("ip_address",),
}
_ZONED: Final = ("wire", "iso", "pattern")


class _Idle(NamedTuple):
    """A key that does nothing, its value, and why."""

    key: str
    value: object
    why: str


def check_keys(mapping: "DatasetMapping") -> None:
    """Refuse a key that says something nobody would read.

    Raises:
        InvalidSetting: There is one; the field is its path in the file.
    """
    for found in _idle(mapping):
        raise InvalidSetting(
            f"this key does nothing here: {found.why}",
            field=found.key,
            value=_shown(found.value),
            remedy=f"Take {found.key.rpartition('.')[2]} out; docs/mapping.md says where it works.",
        )


def _idle(mapping: "DatasetMapping") -> Iterator[_Idle]:
    names = [*mapping.files, *(join.file for join in mapping.join)]
    formats = {mapping.format or format_of(name) for name in names}  # None: it may be any
    typed = bool(formats & {None, "parquet"})
    for name, source in mapping.sources.items():
        yield from _of_source(f"fields.{name}", name, source, typed=typed)
    if mapping.label is not None:
        yield from _of_label(mapping.label, typed=typed)
    if not formats & {None, "csv"}:
        why = "it is for CSV files, and none is named"
        if mapping.delimiter != ",":
            yield _Idle("delimiter", mapping.delimiter, why)
        if mapping.null:
            yield _Idle("null", ", ".join(mapping.null), why)


def _of_source(place: str, name: str, source: "Source", *, typed: bool) -> Iterator[_Idle]:
    plain = {each.name: each.default for each in msgspec.structs.fields(source)}
    for key, names in _OF_FIELDS.items():
        value = getattr(source, key)
        if value != plain[key] and name not in names:
            yield _Idle(f"{place}.{key}", value, f"it is for {', '.join(names)}")
    if source.zone is not None and source.time not in _ZONED:
        why = f'time = "{source.time}" counts from an instant, which no zone moves'
        yield _Idle(f"{place}.zone", source.zone, why)
    if source.zone is not None and source.time == "wire" and not typed:
        why = 'a time of the wire has its offset; for times without one set time = "iso"'
        yield _Idle(f"{place}.zone", source.zone, why)
    if source.ip != "text" and source.constant is not None:
        yield _Idle(f"{place}.ip", source.ip, "a constant is an address as text")
    if source.ip != "text" and source.values:
        yield _Idle(f"{place}.ip", source.ip, "values say already which address each one means")
    if source.ip != "text" and source.prefix:
        yield _Idle(f"{place}.prefix", source.prefix, "an address has none")


def _of_label(label: "LabelSource", *, typed: bool) -> Iterator[_Idle]:
    if label.fraud_when:
        for key in ("fraud", "legitimate", "unknown"):
            if getattr(label, key):
                yield _Idle(f"label.{key}", getattr(label, key), "fraud_when says what is fraud")
    if label.known_at is not None:
        yield from _of_source("label.known_at", "known_at", label.known_at, typed=typed)


def _shown(value: object) -> str:
    text = "true" if value is True else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
